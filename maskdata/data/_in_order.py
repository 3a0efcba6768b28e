"""Blocks of rows -> the same, each row with its packed row: decided in order of arrival.

What is decided does not depend on the rows that follow, nor on how the input is cut into blocks.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from maskdata.data._blocks import Rows, largest, take_rows

NOT_YET = -1
"""The packed row of a row that stays."""


def first_fit(
    dataset: tf.data.Dataset,
    capacities: Sequence[int],
    *,
    batch_size: int,
    max_segments: int | None,
) -> tf.data.Dataset:
    """Add `packed_row`: each row goes to the first packed row of the open batch that has room for it.

    If none has, the batch leaves and the row begins the next one. A loop over the rows, in
    TensorFlow: some 20 microseconds a row.

    Args:
        dataset: Blocks with `lengths` [N, F] int64, at least 1 and at most the capacities.
        capacities: How many steps of each of the F features a packed row holds.
        batch_size: How many packed rows a batch has.
        max_segments: How many rows a packed row holds.
    """
    sizes = [*capacities, *([] if max_segments is None else [max_segments])]
    all_room = tf.constant([sizes] * batch_size, tf.int64)

    def advance(state: Any, block: Rows) -> Any:
        takes = block["lengths"]
        if max_segments is not None:
            takes = tf.pad(takes, [[0, 0], [0, 1]], constant_values=1)
        first, room = state
        state, packed_row = place_in_order(first, room, takes, all_room)
        return state, block | {"packed_row": packed_row}

    # Nothing has room: the first row opens batch 0.
    start = tf.constant(-batch_size, tf.int64), tf.zeros_like(all_room)
    return dataset.scan(start, tf.autograph.experimental.do_not_convert(advance))


def place_in_order(
    first: tf.Tensor, room: tf.Tensor, takes: tf.Tensor, all_room: tf.Tensor
) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return the new state, and the packed row of each row.

    Args:
        first: The number of the first packed row of the open batch, int64.
        room: What its packed rows have room for, [B, F] int64.
        takes: What each row takes, [N, F] int64.
        all_room: What packed rows that are empty have room for.

    >>> room = tf.constant([[4], [4]], tf.int64)
    >>> (first, left), packed_row = place_in_order(
    ...     tf.constant(0, tf.int64), room, tf.constant([[3], [2], [1], [3], [4]], tf.int64), room)
    >>> packed_row.numpy().tolist(), int(first), left.numpy().tolist()
    ([0, 1, 0, 2, 3], 2, [[1], [0]])
    """
    num_rows, batch_size = tf.shape(takes)[0], all_room.shape[0]

    def place(row: Any, first: Any, room: Any, placed: Any) -> tuple[Any, ...]:
        fits = tf.reduce_all(room >= takes[row], axis=1)
        none_fits = ~tf.reduce_any(fits)
        first += tf.where(none_fits, tf.constant(batch_size, tf.int64), 0)
        nth = tf.argmax(fits)  # the first; 0 if none fits
        room = tf.tensor_scatter_nd_sub(
            tf.where(none_fits, all_room, room), nth[None, None], takes[row][None]
        )
        return row + 1, first, room, placed.write(row, first + nth)

    placed = tf.TensorArray(tf.int64, size=num_rows, element_shape=[])
    _, first, room, placed = tf.while_loop(
        lambda row, *_: row < num_rows, place, (0, first, room, placed), parallel_iterations=1
    )
    return (first, room), placed.stack()


def concat_then_split(
    dataset: tf.data.Dataset, features: Sequence[str], length: int, window: str
) -> tf.data.Dataset:
    """Add `packed_row`, and split the rows where a packed row of `length` steps ends.

    Args:
        dataset: Blocks with `rows` and `lengths` [N, F] int64, the same for all features.
        features: The features to split.
        length: How many steps a packed row holds.
        window: The name of the feature that numbers the windows of a row.
    """

    def advance(num_steps: tf.Tensor, block: Rows) -> Any:
        row_lengths = block["lengths"][:, 0]
        row, nth, window_lengths, packed_row = plan_segments(num_steps, row_lengths, length)
        rest = {name: rows for name, rows in block["rows"].items() if name not in features}
        windows = take_rows(rest, row) | {window: nth}
        for name in features:
            # The steps stay where they are: only where rows begin is another question.
            whole = block["rows"][name]
            windows[name] = tf.RaggedTensor.from_row_lengths(
                whole.values, tf.cast(window_lengths, whole.row_splits.dtype), validate=False
            )
        windows = {name: windows[name] for name in [*block["rows"], window]}
        return num_steps + tf.reduce_sum(row_lengths), {"rows": windows, "packed_row": packed_row}

    start = tf.zeros([], tf.int64)
    return dataset.scan(start, tf.autograph.experimental.do_not_convert(advance))


def plan_segments(
    num_steps: tf.Tensor, row_lengths: tf.Tensor, length: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return for each window its row, its number in the row, its steps and its packed row.

    `num_steps` is how many steps came before. A row without steps is one window without steps.

    >>> row, window, steps, packed_row = plan_segments(
    ...     tf.constant(3, tf.int64), tf.constant([2, 0, 7], tf.int64), length=4)
    >>> row.numpy().tolist(), window.numpy().tolist()
    ([0, 0, 1, 2, 2], [0, 1, 0, 0, 1])
    >>> steps.numpy().tolist(), packed_row.numpy().tolist()
    ([1, 1, 0, 3, 4], [0, 1, 1, 1, 2])
    """
    ends = num_steps + tf.cumsum(row_lengths)
    starts = ends - row_lengths
    first = starts // length
    num_windows = tf.maximum(-(-ends // length) - first, 1)
    row = tf.repeat(tf.range(tf.size(row_lengths, tf.int64)), num_windows)
    window = tf.ragged.range(num_windows).values
    packed_row = tf.gather(first, row) + window
    window_starts = tf.maximum(tf.gather(starts, row), packed_row * length)
    window_ends = tf.minimum(tf.gather(ends, row), (packed_row + 1) * length)
    return row, window, window_ends - window_starts, packed_row


def complete_batches(
    packed_row: tf.Tensor, *, batch_size: int, is_end: tf.Tensor, drop_remainder: bool
) -> tf.Tensor:
    """Return the packed rows, counted from the first batch at hand; `NOT_YET` in the last batch.

    At the end the last batch leaves too, unless it is not full and `drop_remainder` is set.

    >>> complete_batches(tf.constant([6, 7, 6, 8], tf.int64), batch_size=2, is_end=tf.constant(False),
    ...     drop_remainder=False).numpy().tolist()
    [0, 1, 0, -1]
    """
    batch = packed_row // batch_size
    last = largest(packed_row, or_else=0)
    is_full = last % batch_size == batch_size - 1
    last_leaves = is_end & is_full if drop_remainder else is_end
    leaves = last_leaves | (batch < last // batch_size)
    first = tf.reduce_min(tf.concat([batch, last[None]], axis=0)) * batch_size
    return tf.where(leaves, packed_row - first, NOT_YET)
