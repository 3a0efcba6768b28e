"""Blocks of rows -> the rows of one part of a split, chosen by a key: no key is in two parts."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks, take_rows
from maskdata.data._types import Element

NUM_BUCKETS = 2**53
"""As many as there are evenly spaced floats in [0, 1), so that each bound falls on one exactly."""


@final
@dataclass(frozen=True)
class SplitByKey:
    """Keep the rows whose key falls into one part of a split: training, validation, test.

    Stage: blocks or ragged batches -> **the same, without the rows of other parts**.

    A strong hash spreads the keys evenly over [0, 1); a row is kept if that of its key lies in
    [start, end). It depends on the key and the seed alone, neither on other rows nor on blocks,
    order, process or version. Rows with the same key therefore stay together for ever: nothing
    leaks from training to validation if the key names what rows have in common (a user, a
    document, a patient). Parts that share their bounds are disjoint, and miss no row. The shares
    are those of keys: with few keys, or some that have most of the rows, those of rows differ.
    `describe(part, source=rows)` counts the rows of all other parts as lost.

    Args:
        key: The feature to split by. Integers are hashed as their decimal digits: 7 is "7".
        start: Where the part begins, 0 to 1.
        end: Where it ends; not in it.
        seed: Another seed makes another split. Not one that differs by the part.

    Shapes:
        in: `key` [N] integer or string, other features [N, ...]
        out: the same features; fewer rows

    Raises:
        TypeError, ValueError: When built, for bounds that are not in order in [0, 1], or another
            bad argument; when applied, for a key that is missing, not dense [N], or neither integer nor string.

    Example:
        >>> rows = md.from_rows({"user": ["ann", "bob", "cy", "ann"], "n": [0, 1, 2, 3]})
        >>> train, validation = md.SplitByKey("user", 0.0, 0.6), md.SplitByKey("user", 0.6, 1.0)
        >>> [rows.apply(part).get_single_element()["n"].numpy().tolist() for part in (train, validation)]
        [[0, 2, 3], [1]]

    Source: `tf.strings.to_hash_bucket_strong` (SipHash).
    """

    key: str
    start: float
    end: float
    seed: int = 0

    def __post_init__(self) -> None:
        _check.name("SplitByKey", "key", self.key)
        for name, bound in (("start", self.start), ("end", self.end)):
            if not isinstance(bound, Real) or isinstance(bound, bool):
                remedy = "Pass a share, such as 0.9."
                _check.refuse("SplitByKey", f"{name} must be a number", bound, remedy, TypeError)
        if not 0 <= self.start < self.end <= 1:
            must = "bounds must be in order, 0 <= start < end <= 1"
            remedy = "Training may be 0.0 to 0.9, validation 0.9 to 1.0."
            _check.refuse("SplitByKey", must, (self.start, self.end), remedy)
        _check.integer("SplitByKey", "seed", self.seed, minimum=0)
        if self.seed >= 2**63:
            _check.refuse(
                "SplitByKey", "seed must be below 2**63", self.seed, "Pass a smaller one."
            )

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset with the rows of this part only."""
        _check_key(_check.feature("SplitByKey", _check.blocks("SplitByKey", dataset), self.key))
        first, limit = (math.ceil(bound * NUM_BUCKETS) for bound in (self.start, self.end))

        def keep(element: Element) -> Element:
            bucket = hash_keys(element[self.key], self.seed)
            kept: Element = take_rows(element, tf.where((first <= bucket) & (bucket < limit))[:, 0])
            return kept

        return map_blocks(dataset, keep)


def _check_key(spec: Any) -> None:
    if isinstance(spec, tf.RaggedTensorSpec) or spec.shape.rank != 1:
        remedy = "Give each row one key."
        _check.refuse("SplitByKey", "key must be dense [N]", spec, remedy)
    if spec.dtype != tf.string and not spec.dtype.is_integer:
        remedy = "Rounding would tear equal keys apart: make it a string."
        _check.refuse("SplitByKey", "key must be integers or strings", spec, remedy, TypeError)


def hash_keys(keys: tf.Tensor, seed: int) -> tf.Tensor:
    """Return a hash of each key, int64, evenly spread over [0, 2**53).

    >>> md.data.split_by_key.hash_keys(tf.constant(["7", "8"]), seed=0).numpy().tolist()
    [5061232908345033, 6553958821950994]
    """
    texts = keys if keys.dtype == tf.string else tf.strings.as_string(keys)
    return tf.strings.to_hash_bucket_strong(texts, NUM_BUCKETS, key=[seed, 0])
