"""Rows and bins, both sorted -> which row finds which bin, all in one pass."""

from collections.abc import Callable

import tensorflow as tf

GREED = 0.75
"""The share of its room that a bin takes in one round, in rows of like length."""


def match(
    length: tf.Tensor, room: tf.Tensor, at_most: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return which rows find a bin, and which bin each of them finds; both are sorted, the most first.

    All are matched in one pass: the rows that bins take are runs, one after the other. The run of a
    bin begins with the longest row that fits, or where the run of the bin before it ends; it is
    one row, or as many of its length as fill most of the bin, `at_most` so many.

    >>> rows, bins = match(tf.constant([0.9, 0.2, 0.2, 0.2]), tf.constant([0.6, 0.3]))
    >>> rows.numpy().tolist(), bins.numpy().tolist()
    ([1, 2, 3], [0, 0, 1])
    """
    num_rows = tf.math.count_nonzero(length > 0)
    fitting = _places(-length, -room, tf.raw_ops.LowerBound)
    longest = tf.gather(length, tf.minimum(fitting, tf.size(length, tf.int64) - 1))
    sizes = tf.cast(GREED * room / longest, tf.int64)
    sizes = tf.clip_by_value(sizes, 1, tf.maximum(num_rows, 1))
    if at_most is not None:
        sizes = tf.minimum(sizes, tf.cast(at_most, tf.int64))
    before = tf.cumsum(sizes, exclusive=True)
    starts = before + running_maximum(fitting - before)
    sizes = tf.clip_by_value(num_rows - starts, 0, sizes)
    rows = tf.ragged.range(starts, starts + sizes).values
    return rows, _places(starts, rows, tf.raw_ops.UpperBound) - 1


def _places(numbers: tf.Tensor, values: tf.Tensor, bound: Callable[..., tf.Tensor]) -> tf.Tensor:
    """Return `tf.searchsorted` of one row: that is a dozen ops, which take longer than the search."""
    found = bound(
        sorted_inputs=tf.expand_dims(numbers, 0),
        values=tf.expand_dims(values, 0),
        out_type=tf.int64,
    )
    return tf.squeeze(found, 0)


def running_maximum(numbers: tf.Tensor) -> tf.Tensor:
    """Return the largest of the numbers up to each, exactly, for ints below 2**40.

    TensorFlow has no such op. The logarithm of a sum of n exponentials is their largest exponent
    and at most ln(n) more, which is less than the scale: rounding down leaves the largest.

    >>> running_maximum(tf.constant([-3, 1, 1, 0, 7, 2])).numpy().tolist()
    [-3, 1, 1, 1, 7, 7]
    """
    scale = 64.0
    exponents = scale * tf.cast(numbers, tf.float64)
    largest = (tf.math.cumulative_logsumexp(exponents) + 1) / scale
    return tf.cast(tf.floor(largest), numbers.dtype)
