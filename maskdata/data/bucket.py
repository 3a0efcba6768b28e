"""Blocks of rows -> ragged batches, like lengths together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final, get_args

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import Rows, largest
from maskdata.data._mixing import mix_elements
from maskdata.data._windows import batch_by_bucket

WHO = "BucketBySequenceLength"

Leftovers = Literal["last", "mixed"]


@final
@dataclass(frozen=True)
class BucketBySequenceLength:
    """Batch rows of like length together, exactly as tf.data does, a block at a time.

    Stage: blocks -> **ragged batches**.

    Gives the batches of `tf.data.Dataset.bucket_by_sequence_length` on the same rows, in the same
    order, whatever the size of the blocks: a batch is emitted when its last row arrives, and the
    batches that are not yet full at the end of the input come last, shortest bucket first. All
    features of a row travel together. Rows that wait for their batch are carried in memory, at
    most the sum of the batch sizes: by reference if they are heavy (64 bytes a step and more).

    Args:
        feature: The ragged feature whose row lengths, in steps, decide.
        bucket_boundaries: Strictly increasing lengths, in steps. A row of `n` steps goes to the
            first bucket whose boundary is greater than `n`, or to the last bucket.
        bucket_batch_sizes: Rows in a batch of each bucket: one number more than boundaries.
        drop_remainder: Whether to drop the batches that are not full at the end of the input.
            `describe(batches, source=rows)` counts the rows lost.
        max_tokens: Instead of batch sizes: the most slots (rows times longest row, in steps) that
            any batch may have. Rows past the last boundary are then batches of one row each.
        leftovers: Where the batches go that are not full at the end of the input: `"last"`, as
            tf.data has them, or `"mixed"` with full batches in a fixed random order, so that an
            epoch does not end with small batches sorted by length.

    Shapes:
        in: every feature [N, ...], `feature` [N, (T), ...] ragged
        out: the same features [B, ...]; B is one of `bucket_batch_sizes`, or less at the end

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a feature that
            is missing or not ragged, or for elements that are not batches of rows.
        tf.errors.InvalidArgumentError: When read, for features with different numbers of rows,
            or for a row longer than `max_tokens`.

    Example:
        >>> rows = md.from_rows({"tokens": [[1, 2, 3], [4], [5], [6, 7, 8, 9]]})
        >>> bucket = md.BucketBySequenceLength("tokens", bucket_boundaries=[3], bucket_batch_sizes=[2, 2])
        >>> [batch["tokens"].to_list() for batch in rows.apply(bucket)]
        [[[4], [5]], [[1, 2, 3], [6, 7, 8, 9]]]

    Source: `tf.data.Dataset.bucket_by_sequence_length`, which calls two traced functions for
    each row where this calls one for each block.
    """

    feature: str
    bucket_boundaries: Sequence[int]
    bucket_batch_sizes: Sequence[int] | None = None
    drop_remainder: bool = False
    max_tokens: int | None = None
    leftovers: Leftovers = "last"

    def __post_init__(self) -> None:
        _check.name(WHO, "feature", self.feature)
        _check.increasing(WHO, "bucket_boundaries", self.bucket_boundaries)
        _check.boolean(WHO, "drop_remainder", self.drop_remainder)
        _check.one_of(WHO, "leftovers", self.leftovers, get_args(Leftovers))
        batch_sizes = self._batch_sizes()
        object.__setattr__(self, "bucket_boundaries", tuple(self.bucket_boundaries))
        if self.max_tokens is None:
            object.__setattr__(self, "bucket_batch_sizes", batch_sizes)

    def _batch_sizes(self) -> tuple[int, ...]:
        sizes, num_buckets = self.bucket_batch_sizes, len(self.bucket_boundaries) + 1
        if (sizes is None) == (self.max_tokens is None):
            _check.refuse(
                WHO,
                "one of bucket_batch_sizes and max_tokens must be given",
                {"bucket_batch_sizes": sizes, "max_tokens": self.max_tokens},
                "Pass the rows of a batch of each bucket, or the most slots of any batch.",
            )
        if self.max_tokens is not None:
            return batch_sizes_within(self.max_tokens, self.bucket_boundaries)
        assert sizes is not None
        _check.integers(WHO, "bucket_batch_sizes", sizes)
        if len(sizes) != num_buckets:
            _check.refuse(
                WHO,
                f"bucket_batch_sizes must have {num_buckets} entries, "
                "one more than bucket_boundaries",
                sizes,
                "The last size is that of the rows past the last boundary.",
            )
        return tuple(sizes)

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset batched by length."""
        _check.ragged_feature(WHO, _check.movable_rows(WHO, dataset), self.feature)
        batch_sizes = self._batch_sizes()
        batches = batch_by_bucket(
            dataset,
            self._bucket_of,
            batch_sizes,
            drop_remainder=self.drop_remainder,
            who=WHO,
        )
        if self.leftovers == "last":
            return batches
        # Each bucket may have one leftover: the reserve of full batches to hide them in is larger.
        return mix_elements(batches, 4 * len(batch_sizes))

    def _bucket_of(self, rows: Rows) -> tf.Tensor:
        row_lengths = tf.cast(rows[self.feature].row_lengths(), tf.int64)
        boundaries = tf.constant(
            self.bucket_boundaries, tf.int64, shape=[len(self.bucket_boundaries)]
        )
        with tf.control_dependencies(self._check_budget(row_lengths)):
            return tf.searchsorted(boundaries, row_lengths, side="right")

    def _check_budget(self, row_lengths: tf.Tensor) -> list[tf.Operation]:
        if self.max_tokens is None:
            return []
        longest = largest(row_lengths, or_else=0)
        message = f"{WHO}: rows of {self.feature} must have at most max_tokens={self.max_tokens} steps, got "
        remedy = ". Raise max_tokens; or cut rows with Truncate, split them with SplitLong or leave them out with DropLong."
        return [_check.must_hold(longest <= self.max_tokens, message, longest, remedy)]


def batch_sizes_within(max_tokens: int, bucket_boundaries: Sequence[int]) -> tuple[int, ...]:
    """Return how many rows of each bucket fit into `max_tokens` slots, padded to the longest.

    >>> md.data.bucket.batch_sizes_within(100, [9, 26])
    (12, 4, 1)
    """
    _check.integer(WHO, "max_tokens", max_tokens)
    longest = [max(boundary - 1, 1) for boundary in bucket_boundaries]
    if longest and longest[-1] > max_tokens:
        _check.refuse(
            WHO,
            f"max_tokens must be at least {longest[-1]}, the longest row below the last boundary",
            max_tokens,
            "Raise it, or drop the boundaries past it.",
        )
    return (*(max_tokens // length for length in longest), 1)
