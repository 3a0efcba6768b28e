"""Blocks of rows -> rows that know their pool: rows that are placed together, however they arrive."""

from collections.abc import Callable

import tensorflow as tf

from maskdata.data._blocks import Rows, largest, num_rows


def number_rows(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Add the `number` of each row, and how many rows came `before` its block; drop empty blocks."""

    def advance(count: tf.Tensor, block: Rows) -> tuple[tf.Tensor, Rows]:
        numbers = count + tf.range(num_rows(block))
        added = {"number": numbers, "before": tf.fill(tf.shape(numbers), count)}
        return count + num_rows(block), block | added

    with_rows = dataset.filter(
        tf.autograph.experimental.do_not_convert(lambda block: num_rows(block) > 0)
    )
    return with_rows.scan(tf.zeros([], tf.int64), tf.autograph.experimental.do_not_convert(advance))


def pool_by_pool(
    rows: Rows, place: Callable[[tf.Tensor], tf.Tensor], pool_size: int, is_end: tf.Tensor
) -> tf.Tensor:
    """Return the packed row of each row, int64 [N]; -1 for rows that stay.

    Each pool is placed once it is complete, together with the rows that stayed in the one before:
    so no more is known of the input than would be if it came in other blocks.

    Args:
        rows: The rows at hand, with what `number_rows` added.
        place: Row indices -> their packed rows, counted from 0; -1 for rows that stay.
        pool_size: How many rows a pool has.
        is_end: Whether there are no more rows.

    >>> rows = {"number": tf.constant([1, 4, 5, 6], tf.int64), "before": tf.constant([0, 4, 4, 4], tf.int64)}
    >>> first_stays = lambda indices: tf.range(tf.size(indices, tf.int64)) - 1
    >>> pool_by_pool(rows, first_stays, pool_size=3, is_end=tf.constant(False)).numpy().tolist()
    [-1, 0, 1, -1]
    """
    number = rows["number"]
    first = largest(rows["before"], or_else=0) // pool_size
    end = (largest(number, or_else=-1) + 1) // pool_size

    def place_pool(pool: tf.Tensor, packed_row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        is_at_hand = (packed_row < 0) & (is_end | (number < (pool + 1) * pool_size))
        at_hand = tf.where(is_at_hand)[:, 0]
        found = place(at_hand)
        found = tf.where(found < 0, found, found + largest(packed_row, or_else=-1) + 1)
        return pool + 1, tf.tensor_scatter_nd_update(packed_row, at_hand[:, None], found)

    _, packed_row = tf.while_loop(
        lambda pool, _: pool < tf.where(is_end, first + 1, end),
        place_pool,
        (first, -tf.ones_like(number)),
        parallel_iterations=1,
    )
    return packed_row
