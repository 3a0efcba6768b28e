"""Ragged tokens -> ragged ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks
from maskdata.data.vocabulary import Vocabulary


@final
@dataclass(frozen=True)
class Lookup:
    """Replace tokens by their ids.

    Stage: ragged tokens -> **ragged ids**.

    Looks up all tokens of a block at once, in the graph: the table travels with the dataset into
    `tf.data` services and other processes. An unknown token gets the vocabulary's `oov_id`. Other
    features pass through untouched.

    Args:
        features: The feature, or several, that hold tokens: strings, ragged or dense.
        vocabulary: Which id each token has.

    Shapes:
        in: `features` [B, (T), ...] string
        out: the same shape, int64

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a feature that is
            missing or does not hold strings.

    Example:
        >>> rows = md.from_rows({"tokens": [["to", "be"], ["or"]]})
        >>> rows.apply(md.Lookup("tokens", md.Vocabulary(["be", "to"]))).get_single_element()["tokens"].to_list()
        [[3, 2], [1]]
    """

    features: str | Sequence[str]
    vocabulary: Vocabulary

    def __post_init__(self) -> None:
        _check.names("Lookup", "features", self._names)
        if not isinstance(self.vocabulary, Vocabulary):
            _check.refuse(
                "Lookup",
                "vocabulary must be a Vocabulary",
                self.vocabulary,
                "Build one.",
                TypeError,
            )

    @property
    def _names(self) -> Sequence[str]:
        return [self.features] if isinstance(self.features, str) else self.features

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset with ids in place of tokens."""
        spec = _check.blocks("Lookup", dataset)
        for name in self._names:
            _check.string_feature("Lookup", spec, name)
        table = self.vocabulary.table()
        return map_blocks(
            dataset,
            lambda block: block | {name: lookup(block[name], table) for name in self._names},
        )


def lookup(tokens: tf.Tensor | tf.RaggedTensor, table: tf.lookup.StaticHashTable) -> Any:
    """Return the ids of `tokens`, a tensor or ragged tensor of strings.

    >>> md.data.lookup.lookup(tf.constant(["be", "?"]), md.Vocabulary(["to", "be"]).table()).numpy().tolist()
    [3, 1]
    """
    if isinstance(tokens, tf.RaggedTensor):
        return tokens.with_flat_values(table.lookup(tokens.flat_values))
    return table.lookup(tokens)
