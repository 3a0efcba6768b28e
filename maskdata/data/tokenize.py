"""Blocks of strings -> ragged tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks
from maskdata.data._types import Element


@final
@dataclass(frozen=True)
class Tokenize:
    """Split strings into tokens.

    Stage: blocks of strings -> **ragged tokens**.

    A whole block is split by one call. Other features pass through untouched, the strings too
    if `into` names a new feature.

    Args:
        feature: The feature that holds the strings.
        into: The feature for the tokens; by default they replace the strings.
        tokenizer: A tensorflow-text tokenizer, or a function from strings [N] to ragged tokens
            [N, (T)]. By default strings are split at ASCII white space, as `tf.strings.split`.

    Shapes:
        in: `feature` [B] string, or ragged [B, (T)] string to split tokens further
        out: `into` [B, (T)] ragged, strings or whatever the tokenizer gives; a tokenizer of words
            into pieces gives [B, (T), (M)]

    Raises:
        TypeError, ValueError: When built, for something that is no tokenizer; when applied, for a
            feature that is missing or does not hold strings, if `into` exists, or if the
            tokenizer does not give ragged tokens.

    Example:
        >>> rows = md.from_rows({"text": ["to be", "or not to be"]})
        >>> rows.apply(md.Tokenize("text")).get_single_element()["text"].to_list()
        [[b'to', b'be'], [b'or', b'not', b'to', b'be']]
    """

    feature: str
    into: str | None = None
    tokenizer: Any = None

    def __post_init__(self) -> None:
        _check.name("Tokenize", "feature", self.feature)
        if self.into is not None:
            _check.name("Tokenize", "into", self.into)
        if self.tokenizer is not None and not callable(_function(self.tokenizer)):
            _check.refuse(
                "Tokenize",
                "tokenizer must have a method `tokenize` or be a function",
                self.tokenizer,
                "Pass a tensorflow-text tokenizer.",
                TypeError,
            )

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset with the strings split."""
        spec = _check.blocks("Tokenize", dataset)
        _check.string_feature("Tokenize", spec, self.feature)
        if self.into not in (None, self.feature):
            _check.new_features("Tokenize", spec, [self.into])
        tokenize = tf.strings.split if self.tokenizer is None else _function(self.tokenizer)

        def split(element: Element) -> Element:
            tokens = tokenize(element[self.feature])
            if not isinstance(tokens, tf.RaggedTensor):
                _check.refuse(
                    "Tokenize",
                    "tokenizer must give a ragged tensor",
                    tokens,
                    "Use another one.",
                    TypeError,
                )
            return element | {self.into or self.feature: tokens}

        return map_blocks(dataset, split)


def _function(tokenizer: Any) -> Callable[[Any], Any]:
    return getattr(tokenizer, "tokenize", tokenizer)  # type: ignore[no-any-return]
