"""Rows -> batches of packed rows: the rows of a packed row one after the other."""

from collections.abc import Callable

import tensorflow as tf

from maskdata.data._blocks import (
    Rows,
    any_number_of_rows,
    carry_rows,
    largest,
    map_blocks,
    take_rows,
)
from maskdata.data._references import unpack_rows
from maskdata.data._types import Element


def batch_packed_rows(
    dataset: tf.data.Dataset,
    packed_row_of: Callable[[Rows, tf.Tensor], tf.Tensor],
    make_batch: Callable[[Rows, tf.Tensor], Element],
    batch_size: int,
    who: str,
) -> tf.data.Dataset:
    """Return what is made of the rows of each batch, those of a packed row one after the other.

    Args:
        dataset: Blocks with `rows` and what `packed_row_of` wants to know of them.
        packed_row_of: (rows at hand, is this the end?) -> the packed row of each, counted from 0;
            -1 for rows that stay.
        make_batch: (rows, where those of each packed row begin, and the last ones end) -> a batch.
        batch_size: Packed rows in a batch.
        who: Who is to blame for blocks that are not what they should be.
    """
    spec = any_number_of_rows(dataset.element_spec["rows"])

    def step(rows: Rows, is_end: tf.Tensor) -> tuple[Element, tf.Tensor]:
        packed_row = packed_row_of(rows, is_end)
        leaving, keep = tf.where(packed_row >= 0)[:, 0], tf.where(packed_row < 0)[:, 0]
        packed_row = tf.gather(packed_row, leaving)
        by_packed_row = tf.argsort(packed_row, stable=True)
        num_batches = largest(packed_row // batch_size, or_else=-1) + 1
        packed_rows = tf.range(num_batches * batch_size + 1)
        placed = {
            "rows": rows["rows"],
            "leaving": tf.gather(leaving, by_packed_row),
            "row_splits": tf.searchsorted(
                tf.gather(packed_row, by_packed_row), packed_rows, out_type=tf.int64
            ),
        }
        return placed, keep

    # The rows stay where they are until their batch is made: this is what may run in parallel.
    def batches_of(placed: Element) -> tf.data.Dataset:
        starts = tf.data.Dataset.range(0, tf.size(placed["row_splits"], tf.int64) - 1, batch_size)
        same_rows = tf.data.Dataset.from_tensors(placed).repeat()
        return tf.data.Dataset.zip((starts, same_rows))

    def take_batch(start: tf.Tensor, placed: Element) -> Element:
        row_splits = placed["row_splits"][start : start + batch_size + 1]
        row_splits = tf.ensure_shape(row_splits, [batch_size + 1])
        rows = take_rows(placed["rows"], placed["leaving"][row_splits[0] : row_splits[-1]])
        return make_batch(unpack_rows(rows, spec), row_splits - row_splits[0])

    placed = carry_rows(dataset, step, who)
    numbered = placed.flat_map(tf.autograph.experimental.do_not_convert(batches_of))
    return map_blocks(numbered, take_batch)
