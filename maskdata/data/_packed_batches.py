"""Rows -> batches of packed rows: the rows of a packed row one after the other."""

from collections.abc import Callable

import tensorflow as tf

from maskdata.data._blocks import Rows, any_number_of_rows, carry_rows, map_blocks, take_rows
from maskdata.data._references import any_heavy, unpack_rows
from maskdata.data._windows import slice_windows, split_windows


def batch_packed_rows(
    dataset: tf.data.Dataset,
    packed_row_of: Callable[[Rows, tf.Tensor], tf.Tensor],
    batch_size: int,
    who: str,
) -> tf.data.Dataset:
    """Return batches of `rows` of the elements, with the `packed_row` of each in its batch.

    Args:
        dataset: Blocks with `rows` and what `packed_row_of` wants to know of them.
        packed_row_of: (rows at hand, is this the end?) -> the packed row of each, counted from 0;
            -1 for rows that stay.
        batch_size: Packed rows in a batch.
        who: Who is to blame for blocks that are not what they should be.
    """
    spec = any_number_of_rows(dataset.element_spec["rows"])

    def step(rows: Rows, is_end: tf.Tensor) -> tuple[tuple[Rows, tf.Tensor], tf.Tensor]:
        packed_row = packed_row_of(rows, is_end)
        leaving, keep = tf.where(packed_row >= 0)[:, 0], tf.where(packed_row < 0)[:, 0]
        packed_row = tf.gather(packed_row, leaving)
        by_packed_row = tf.argsort(packed_row, stable=True)
        packed_row = tf.gather(packed_row, by_packed_row)
        batch = packed_row // batch_size
        num_batches = tf.reduce_max(tf.concat([batch, [-1]], axis=0)) + 1
        window_sizes = tf.math.unsorted_segment_sum(tf.ones_like(batch), batch, num_batches)
        emitted = {
            "rows": take_rows(rows["rows"], tf.gather(leaving, by_packed_row)),
            "packed_row": packed_row % batch_size,
        }
        return (emitted, window_sizes), keep

    windows = carry_rows(dataset, step, who)
    if not any_heavy(spec):
        return split_windows(windows)
    return map_blocks(
        slice_windows(windows), lambda batch: batch | {"rows": unpack_rows(batch["rows"], spec)}
    )
