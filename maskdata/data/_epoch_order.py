"""Buckets of rows, a seed and an epoch -> which rows stand in which batch, in which order."""

from collections.abc import Sequence
from typing import final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

PHILOX = 1


@final
class EpochOrder:
    """The order of any epoch: a function of bucket numbers, batch sizes, seed and epoch alone.

    All rows are shuffled evenly, then go to their buckets in that order, and fill its batches. The
    batches of a bucket are spread evenly over the epoch: each is drawn at random from a stretch of
    its own, so that long and short rows come all the time. The batch that is not full gets any of
    the stretches.

    Attributes:
        num_batches: The batches of an epoch, the same in each.
        rows_left_out: The rows that no batch holds: 0, or with `drop_remainder` the same number
            in each epoch, though other rows.

    >>> order = EpochOrder(np.array([0, 1, 0, 0, 1]), [2, 2], seed=1, drop_remainder=False)
    >>> rows, starts, limits = order(tf.constant(0, tf.int64))
    >>> [rows[start:limit].numpy().tolist() for start, limit in zip(starts, limits)]
    [[2, 0], [1, 4], [3]]
    """

    def __init__(
        self,
        bucket_of_row: npt.NDArray[np.int64],
        batch_sizes: Sequence[int],
        *,
        seed: int,
        drop_remainder: bool,
    ) -> None:
        sizes = np.array(batch_sizes, np.int64)
        rows = np.bincount(bucket_of_row, minlength=len(sizes))
        batches = rows // sizes if drop_remainder else -(-rows // sizes)
        bucket = np.repeat(np.arange(len(sizes)), batches)
        number = np.arange(len(bucket)) - np.repeat(np.cumsum(batches) - batches, batches)
        ends = np.cumsum(rows)
        starts = (ends - rows)[bucket] + number * sizes[bucket]
        limits = np.minimum(starts + sizes[bucket], ends[bucket])
        self.num_batches = len(bucket)
        self.rows_left_out = int(len(bucket_of_row) - (limits - starts).sum())
        self._num_rows, self._num_buckets = len(bucket_of_row), len(sizes)
        with tf.device("CPU:0"):
            # Small, because tf.data copies what its functions hold whenever it makes an iterator.
            small = np.uint8 if len(sizes) <= 256 else np.int32
            self._bucket_of_row = tf.constant(bucket_of_row, small)
            self._bucket, self._number = tf.constant(bucket), tf.constant(number)
            self._starts, self._limits = tf.constant(starts), tf.constant(limits)
            self._batches = tf.constant(batches)
            self._key = tf.constant([seed], tf.uint64)

    def __call__(self, epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return the rows [N] and, of each batch of them in turn, where it starts and ends."""
        order = tf.argsort(self._times(epoch))
        return (
            self._rows_by_bucket(epoch),
            tf.gather(self._starts, order),
            tf.gather(self._limits, order),
        )

    def _rows_by_bucket(self, epoch: tf.Tensor) -> tf.Tensor:
        numbers = tf.range(self._num_rows, dtype=tf.int32 if self._num_rows < 2**31 else tf.int64)
        shuffled = tf.raw_ops.StatelessShuffle(
            value=numbers, key=self._key, counter=_counter(epoch, 0), alg=PHILOX
        )
        buckets = tf.cast(tf.gather(self._bucket_of_row, shuffled), tf.int32)
        return tf.concat(tf.dynamic_partition(shuffled, buckets, self._num_buckets), axis=0)

    def _times(self, epoch: tf.Tensor) -> tf.Tensor:
        """Return when each batch has its turn, in [0, 1): a random time in a stretch of its own."""
        uniform = tf.raw_ops.StatelessRandomUniformV2(
            shape=[self.num_batches + self._num_buckets],
            key=self._key,
            counter=_counter(epoch, 1),
            alg=PHILOX,
            dtype=tf.float64,
        )
        within, turned = uniform[: self.num_batches], uniform[self.num_batches :]
        turn = tf.cast(turned * tf.cast(self._batches, tf.float64), tf.int64)
        stretches = tf.gather(self._batches, self._bucket)
        stretch = (self._number + tf.gather(turn, self._bucket)) % stretches
        return (tf.cast(stretch, tf.float64) + within) / tf.cast(stretches, tf.float64)


def _counter(epoch: tf.Tensor, stream: int) -> tf.Tensor:
    """Return the counter of Philox at which the random numbers of a stream of an epoch begin."""
    return tf.cast(tf.stack([tf.zeros_like(epoch), 2 * epoch + stream]), tf.uint64)
