"""Blocks of rows -> ragged batches, like lengths together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import Rows
from maskdata.data._windows import batch_by_bucket


@final
@dataclass(frozen=True)
class BucketBySequenceLength:
    """Batch rows of like length together, exactly as tf.data does, a block at a time.

    Stage: blocks -> **ragged batches**.

    Gives the batches of `tf.data.Dataset.bucket_by_sequence_length` on the same rows, in the same
    order, whatever the size of the blocks: a batch is emitted when its last row arrives, and the
    batches that are not yet full at the end of the input come last, shortest bucket first. All
    features of a row travel together. Rows that wait for their batch are carried in memory: at
    most the sum of `bucket_batch_sizes`.

    Args:
        feature: The ragged feature whose row lengths, in steps, decide.
        bucket_boundaries: Strictly increasing lengths, in steps. A row of `n` steps goes to the
            first bucket whose boundary is greater than `n`, or to the last bucket.
        bucket_batch_sizes: Rows in a batch of each bucket: one number more than boundaries.
        drop_remainder: Whether to drop the batches that are not full at the end of the input.
            `describe(batches, source=rows)` counts the rows lost.

    Shapes:
        in: every feature [N, ...], `feature` [N, (T), ...] ragged
        out: the same features [B, ...]; B is one of `bucket_batch_sizes`, or less at the end

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a feature that
            is missing or not ragged, or for elements that are not batches of rows.
        tf.errors.InvalidArgumentError: When read, for features with different numbers of rows.

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
    bucket_batch_sizes: Sequence[int]
    drop_remainder: bool = False

    def __post_init__(self) -> None:
        who = "BucketBySequenceLength"
        _check.name(who, "feature", self.feature)
        _check.increasing(who, "bucket_boundaries", self.bucket_boundaries)
        _check.integers(who, "bucket_batch_sizes", self.bucket_batch_sizes)
        if len(self.bucket_batch_sizes) != len(self.bucket_boundaries) + 1:
            _check.refuse(
                who,
                f"bucket_batch_sizes must have {len(self.bucket_boundaries) + 1} entries, "
                "one more than bucket_boundaries",
                self.bucket_batch_sizes,
                "The last size is that of the rows past the last boundary.",
            )
        _check.boolean(who, "drop_remainder", self.drop_remainder)
        object.__setattr__(self, "bucket_boundaries", tuple(self.bucket_boundaries))
        object.__setattr__(self, "bucket_batch_sizes", tuple(self.bucket_batch_sizes))

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset batched by length."""
        who = "BucketBySequenceLength"
        _check.ragged_feature(who, _check.movable_rows(who, dataset), self.feature)
        boundaries = tf.constant(
            self.bucket_boundaries, tf.int64, shape=[len(self.bucket_boundaries)]
        )

        def bucket_of(rows: Rows) -> tf.Tensor:
            row_lengths = tf.cast(rows[self.feature].row_lengths(), tf.int64)
            return tf.searchsorted(boundaries, row_lengths, side="right")

        return batch_by_bucket(
            dataset,
            bucket_of,
            self.bucket_batch_sizes,
            drop_remainder=self.drop_remainder,
            who=who,
        )
