"""Blocks of tokens -> a vocabulary, which knows the id of each."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import tensorflow as tf

from maskdata.data import _check, _vocabulary_file
from maskdata.data._count_datasets import count_datasets
from maskdata.data._most_frequent import most_frequent

MAX_TOKENS_IN_MEMORY = 10_000_000


@final
@dataclass(frozen=True, repr=False)
class Vocabulary:
    """Know the id of each token: padding is 0, any unknown token 1, the tokens follow from 2.

    Stage: tokens -> **ids**, with `Lookup`.

    The three kinds of ids never meet, whatever the tokens are: the reserved ids have no
    spelling, so that a token "[UNK]" or "" of the data is a token like others. A vocabulary is a value:
    equal if its tokens are.

    Args:
        tokens: Distinct strings, the most frequent first by custom. Their ids are 2, 3, ...

    Shapes:
        in: tokens of any shape; out: ids of the same shape, int64, in [0, V), V = `size`

    Raises:
        TypeError, ValueError: When built, for no tokens, a repeated one, or one that is no str.

    Example:
        >>> vocabulary = md.Vocabulary(["to", "be"])
        >>> vocabulary.size, vocabulary.pad_id, vocabulary.oov_id
        (4, 0, 1)
        >>> vocabulary.decode([[2, 3, 0], [1, 3, 0]])
        [['to', 'be', '[PAD]'], ['[UNK]', 'be', '[PAD]']]

    Source: `keras.layers.StringLookup` gives unknown words id 0 by default, which is what padding
    is filled with; there they cannot be told apart.
    """

    tokens: Sequence[str]

    pad_id: ClassVar[int] = 0
    oov_id: ClassVar[int] = 1
    num_reserved: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if isinstance(self.tokens, str) or not isinstance(self.tokens, Iterable):
            _check.refuse(
                "Vocabulary", "tokens must be a list of str", self.tokens, "Pass one.", TypeError
            )
        object.__setattr__(self, "tokens", tuple(self.tokens))
        if not self.tokens:
            _check.refuse(
                "Vocabulary", "tokens must not be empty", self.tokens, "Was the dataset empty?"
            )
        for token in self.tokens:
            if not isinstance(token, str):
                _check.refuse(
                    "Vocabulary", "each token must be a str", token, "Decode it.", TypeError
                )
        if len(set(self.tokens)) < len(self.tokens):
            repeated = Counter(self.tokens).most_common(1)[0][0]
            _check.refuse(
                "Vocabulary", "each token must stand once", repeated, "Remove the repeat."
            )
        try:
            "".join(self.tokens).encode()
        except UnicodeEncodeError as error:
            wrong = error.object[error.start]
            _check.refuse("Vocabulary", "each token must be valid Unicode", wrong, "Repair it.")

    @property
    def size(self) -> int:
        """How many ids there are: all lie in `[0, size)`. The `input_dim` of an embedding."""
        return self.num_reserved + len(self.tokens)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.tokens[:3])) + (", ..." if len(self.tokens) > 3 else "")
        return f"Vocabulary([{shown}]: {len(self.tokens)} tokens)"

    @classmethod
    def build(
        cls,
        dataset: tf.data.Dataset | Sequence[tf.data.Dataset],
        feature: str,
        *,
        max_size: int | None = None,
        min_count: int = 1,
        max_tokens_in_memory: int = MAX_TOKENS_IN_MEMORY,
    ) -> "Vocabulary":
        """Count the tokens of a dataset in one pass and keep the most frequent.

        Ties are broken by the token itself (its UTF-8 bytes), so that the same data give the same
        vocabulary in whatever blocks and order they come. Counts are exact: what does not fit into
        memory goes to temporary files (where `TMPDIR` says) and is summed up from there.

        Args:
            dataset: Blocks with the feature; or several such datasets, which are read and counted
                side by side. As many as there are cores are best, with an equal share of the files.
            feature: The feature that holds tokens: strings of any shape, ragged or dense.
            max_size: The most ids to have, the two reserved ones included; all by default.
            min_count: How often a token must occur to be kept.
            max_tokens_in_memory: Distinct tokens whose counts are kept in memory, about 200
                bytes each.

        Example:
            >>> rows = md.from_rows({"tokens": [["b", "a", "c"], ["c"]]})
            >>> md.Vocabulary.build(rows, "tokens", max_size=4).tokens
            ('c', 'a')
            >>> more = md.from_rows({"tokens": [["a"], ["a"]]})
            >>> md.Vocabulary.build([rows, more], "tokens", max_size=4).tokens
            ('a', 'c')
        """
        who = "Vocabulary.build"
        datasets = check_build(who, dataset, feature, max_size, min_count, max_tokens_in_memory)
        totals = count_datasets(datasets, feature, max_tokens_in_memory=max_tokens_in_memory)
        tokens, _ = most_frequent(totals, max_tokens_of(max_size), min_count)
        return cls(decode_tokens(who, tokens))

    def save(self, path: str | Path) -> None:
        r"""Write the vocabulary to a UTF-8 text file, one token a line, all or nothing.

        The first line holds the number of tokens and a checksum. A line break or backslash inside
        a token is written as `\\n`, `\\r` or `\\\\`.
        """
        _vocabulary_file.write(Path(path), self.tokens)

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Read a file that `save` wrote; refuse one that was cut, edited or converted since."""
        return cls(_vocabulary_file.read(Path(path)))

    def table(self) -> tf.lookup.StaticHashTable:
        """Return a new lookup table, tokens to int64 ids; keep it as an attribute of what you export."""
        ids = tf.range(self.num_reserved, self.size, dtype=tf.int64)
        content = tf.lookup.KeyValueTensorInitializer(tf.constant(self.tokens), ids)
        return tf.lookup.StaticHashTable(content, default_value=self.oov_id)

    def decode(self, ids: Any) -> Any:
        """Return the tokens of `ids`, a list, array, tensor or ragged tensor, as nested lists of str."""
        if isinstance(ids, tf.RaggedTensor):
            ids = ids.to_list()
        elif isinstance(ids, tf.Tensor | np.ndarray):
            ids = np.asarray(ids).tolist()
        if isinstance(ids, list | tuple):
            return [self.decode(entry) for entry in ids]
        _check.integer("Vocabulary.decode", "each id", ids, minimum=0)
        if ids >= self.size:
            _check.refuse(
                "Vocabulary.decode",
                f"each id must be below {self.size}",
                ids,
                "Another vocabulary's?",
            )
        return (
            ("[PAD]", "[UNK]")[ids]
            if ids < self.num_reserved
            else self.tokens[ids - self.num_reserved]
        )


def check_build(
    who: str, dataset: Any, feature: str, max_size: int | None, min_count: int, in_memory: int
) -> list[tf.data.Dataset]:
    """Refuse arguments that no vocabulary can be built of; return the dataset, or several, in a list."""
    datasets = list(dataset) if isinstance(dataset, list | tuple) else [dataset]
    if not datasets:
        _check.refuse(who, "dataset must be a dataset, or several", dataset, "Pass one.")
    for one in datasets:
        _check.string_feature(who, _check.blocks(who, one), feature)
    _check.integer(who, "min_count", min_count)
    if max_size is not None:
        _check.integer(who, "max_size", max_size, minimum=Vocabulary.num_reserved + 1)
    _check.integer(who, "max_tokens_in_memory", in_memory)
    return datasets


def max_tokens_of(max_size: int | None) -> int | None:
    """Return how many tokens a vocabulary of `max_size` ids has at most."""
    return None if max_size is None else max_size - Vocabulary.num_reserved


def decode_tokens(who: str, tokens: Iterable[bytes]) -> list[str]:
    """Return tokens as str; refuse those that are not UTF-8."""
    return [_decode_utf8(who, token) for token in tokens]


def _decode_utf8(who: str, token: bytes) -> str:
    try:
        return token.decode()
    except UnicodeDecodeError:
        _check.refuse(who, "tokens must be UTF-8", token, "Use tf.strings.unicode_transcode first.")
        raise
