"""Rows by bucket -> windows of rows: which rows leave together, and when."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from maskdata.data._blocks import Rows, any_number_of_rows, carry_rows, map_blocks, take_rows
from maskdata.data._references import any_heavy, unpack_rows


def batch_by_bucket(
    dataset: tf.data.Dataset,
    bucket_of: Callable[[Rows], tf.Tensor],
    batch_sizes: Sequence[int],
    *,
    drop_remainder: bool,
    who: str,
) -> tf.data.Dataset:
    """Return batches of rows of the same bucket, `batch_sizes[bucket]` rows each."""
    spec = any_number_of_rows(dataset.element_spec)
    sizes = tf.constant(batch_sizes, tf.int64)

    def step(rows: Rows, is_end: tf.Tensor) -> tuple[tuple[Rows, tf.Tensor], tf.Tensor]:
        order, window_sizes, keep = plan_windows(
            rows["bucket"], sizes, flush=is_end, drop_remainder=drop_remainder
        )
        return (take_rows(rows["rows"], order), window_sizes), keep

    sorted_out = map_blocks(dataset, lambda rows: {"rows": rows, "bucket": bucket_of(rows)})
    windows = carry_rows(sorted_out, step, who)
    same_size = batch_sizes[0] if drop_remainder and len(set(batch_sizes)) == 1 else None
    if not any_heavy(spec):
        return split_windows(windows, num_rows=same_size)
    return map_blocks(
        slice_windows(windows), lambda rows: set_num_rows(unpack_rows(rows, spec), same_size)
    )


def plan_windows(
    buckets: tf.Tensor, sizes: tf.Tensor, *, flush: tf.Tensor | bool, drop_remainder: bool = False
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decide which rows leave in which window: (order of the rows, window sizes, rows that stay).

    Rows of a bucket fill its windows in order of arrival. Full windows leave in the order in which
    their last row arrived; with `flush`, those that are not full follow in the order of buckets.

    >>> order, window_sizes, keep = plan_windows(
    ...     tf.constant([1, 0, 1, 0, 0]), tf.constant([2, 2], tf.int64), flush=False)
    >>> order.numpy().tolist(), window_sizes.numpy().tolist(), keep.numpy().tolist()
    ([0, 2, 1, 3], [2, 2], [4])
    """
    num_buckets = sizes.shape[0]
    buckets = tf.cast(buckets, tf.int32)
    arrivals = tf.range(tf.size(buckets, tf.int64))
    by_bucket = tf.concat(tf.dynamic_partition(arrivals, buckets, num_buckets), axis=0)
    counts = tf.math.bincount(buckets, minlength=num_buckets, maxlength=num_buckets, dtype=tf.int64)
    starts = tf.cumsum(counts, exclusive=True)
    num_full = counts // sizes

    full_bucket, full_start = _window_starts(num_full, starts, sizes)
    full_size = tf.gather(sizes, full_bucket)
    last_arrival = tf.gather(by_bucket, full_start + full_size - 1)
    emitted = tf.argsort(last_arrival)
    window_starts = tf.gather(full_start, emitted)
    window_sizes = tf.gather(full_size, emitted)

    left_starts = starts + num_full * sizes
    left_sizes = starts + counts - left_starts
    if drop_remainder:
        left_sizes = tf.where(flush, tf.zeros_like(left_sizes), left_sizes)
    partial = tf.where(flush & (left_sizes > 0))[:, 0]
    window_starts = tf.concat([window_starts, tf.gather(left_starts, partial)], axis=0)
    window_sizes = tf.concat([window_sizes, tf.gather(left_sizes, partial)], axis=0)
    keep_sizes = tf.where(flush, tf.zeros_like(left_sizes), left_sizes)

    # The kept rows may stay sorted by bucket: only their order within a bucket counts from here on,
    # because the last row of a window that becomes full later is a row that is yet to arrive.
    order = tf.gather(by_bucket, _ranges(window_starts, window_sizes))
    keep = tf.gather(by_bucket, _ranges(left_starts, keep_sizes))
    return order, window_sizes, keep


def _window_starts(
    num_windows: tf.Tensor, starts: tf.Tensor, sizes: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return bucket and start of every window, for `num_windows` windows in each bucket."""
    bucket = tf.repeat(tf.range(tf.size(num_windows, tf.int64)), num_windows)
    nth = tf.ragged.range(num_windows).values
    return bucket, tf.gather(starts, bucket) + nth * tf.gather(sizes, bucket)


def _ranges(starts: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    return tf.ragged.range(starts, starts + sizes).values


def split_windows(windows: tf.data.Dataset, num_rows: int | None = None) -> tf.data.Dataset:
    """Turn each (rows, window sizes) into one element a window.

    `unbatch` of a ragged tensor of windows does this in one C++ pass, where slicing the windows
    out one by one would run a traced function for each feature of each window.
    """
    spec, _ = windows.element_spec

    def part(rows: Rows, sizes: tf.Tensor) -> Rows:
        def part_feature(feature: Any) -> tf.RaggedTensor:
            splits_dtype = getattr(feature, "row_splits", sizes).dtype
            return tf.RaggedTensor.from_row_lengths(
                feature, tf.cast(sizes, splits_dtype), validate=False
            )

        return tf.nest.map_structure(part_feature, rows)

    parted = map_blocks(windows, part).unbatch()
    all_ragged = all(isinstance(s, tf.RaggedTensorSpec) for s in tf.nest.flatten(spec))
    if all_ragged and num_rows is None:
        return parted
    # What was dense comes out of `unbatch` as a ragged tensor of ragged rank 0: a map makes it dense.
    return map_blocks(parted, lambda rows: set_num_rows(rows, num_rows))


def slice_windows(windows: tf.data.Dataset) -> tf.data.Dataset:
    """Turn each (rows, window sizes) into one element a window, as `split_windows`, by slicing.

    A traced call a window, where `unbatch` would copy; and it knows no references.
    """

    def slices(rows: Rows, sizes: tf.Tensor) -> tf.data.Dataset:
        ends = tf.cumsum(sizes)
        bounds = tf.data.Dataset.from_tensor_slices((ends - sizes, ends))
        return bounds.map(
            tf.autograph.experimental.do_not_convert(
                lambda start, end: tf.nest.map_structure(lambda f: f[start:end], rows)
            )
        )

    return windows.flat_map(tf.autograph.experimental.do_not_convert(slices))


def set_num_rows(rows: Rows, num_rows: int | None) -> Rows:
    """Return the rows with their number made static, where it is known."""
    if num_rows is None:
        return rows

    def fix(feature: Any) -> Any:
        if isinstance(feature, tf.RaggedTensor):
            splits = tf.ensure_shape(feature.row_splits, [num_rows + 1])
            return tf.RaggedTensor.from_row_splits(feature.values, splits, validate=False)
        return tf.ensure_shape(feature, [num_rows, *feature.shape[1:]])

    return tf.nest.map_structure(fix, rows)
