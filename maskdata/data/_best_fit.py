"""Row lengths -> the packed row of each row: best fit, for all rows at hand at once.

Packed rows are called bins here. A share is a part of what a bin holds.
"""

import numpy as np
import tensorflow as tf

from maskdata.data._epoch_order import PHILOX
from maskdata.data._matching import match

NUM_WAVES = 8
"""In how many rounds the bins are opened: more fill better and take longer."""

FULL = 0.98
"""From which share on a bin is full, and leaves."""

MAY_WAIT = 0.2
"""The share of the rows at hand that may wait for a better fit."""


def best_fit(
    lengths: tf.Tensor,
    capacities: tf.Tensor,
    *,
    batch_size: int,
    max_segments: int | None,
    seed: int,
    is_end: tf.Tensor,
    drop_remainder: bool = False,
) -> tf.Tensor:
    """Return in which packed row each row leaves, int64 [N]; -1 for rows that wait.

    Full bins leave, and those that the oldest rows opened, so that no row waits for ever. The rows
    of the others wait, to be placed anew together with the next ones; if they are too many, the
    fullest bins leave too. Bins leave in whole batches, except at the end.

    Args:
        lengths: The steps of each row in each feature, int64 [N, F], the oldest row first; at
            least 1 and at most the capacity.
        capacities: How many steps of each feature a bin holds, int64 [F].
        batch_size: How many bins a batch has.
        max_segments: How many rows a bin holds.
        seed: How the bins that leave are mixed; they come sorted by their longest row.
        is_end: Whether all rows must leave now.
        drop_remainder: Whether bins that fill no batch are dropped then.

    >>> lengths = tf.constant([[3], [5], [4], [3], [6], [2]], tf.int64)
    >>> best_fit(lengths, tf.constant([8], tf.int64), batch_size=2, max_segments=None, seed=0,
    ...     is_end=tf.constant(False)).numpy().tolist()
    [1, 1, -1, -1, 0, 0]
    """
    at_hand = tf.shape(lengths)[0]
    fills_no_batch = num_filled(_shares(lengths, capacities), max_segments) < batch_size
    may_wait = tf.cast(MAY_WAIT * tf.cast(at_hand, tf.float64), tf.int32)
    may_wait = tf.where(is_end, 0, tf.where(fills_no_batch, at_hand, may_wait))
    bins, fullness, num_old = place_rows(lengths, capacities, max_segments, may_wait)

    num_bins = tf.size(fullness)
    num_rows = tf.math.unsorted_segment_sum(tf.ones_like(bins), bins, num_bins)
    if max_segments is not None:
        fullness = tf.where(num_rows < max_segments, fullness, tf.ones_like(fullness))
    is_old = tf.cast(tf.range(num_bins) < num_old, fullness.dtype)
    fullness, fullest = tf.math.top_k(fullness + is_old, num_bins)

    # As many leave as are full, and as must for the others not to be too many.
    num_used = tf.math.count_nonzero(num_rows, dtype=tf.int32)
    whole_batches = num_used // batch_size * batch_size
    num_full = tf.math.count_nonzero(fullness >= FULL, dtype=tf.int32)
    waiting = at_hand - tf.cumsum(tf.concat([[0], tf.gather(num_rows, fullest)], axis=0))
    num_enough = tf.math.count_nonzero(waiting > may_wait, dtype=tf.int32)
    num_leaving = tf.maximum(
        num_full // batch_size * batch_size,
        tf.minimum(-(-num_enough // batch_size) * batch_size, whole_batches),
    )
    num_leaving = tf.where(is_end, whole_batches if drop_remainder else num_used, num_leaving)

    mixed = tf.raw_ops.StatelessShuffle(
        value=tf.range(num_leaving),
        key=[np.uint64(seed)],
        counter=np.zeros(2, np.uint64),
        alg=PHILOX,
    )
    numbers = tf.tensor_scatter_nd_update(
        tf.fill([num_bins + 1], -1), fullest[:num_leaving, None], mixed
    )
    return tf.cast(tf.gather(numbers, tf.where(bins < 0, num_bins, bins)), tf.int64)


def place_rows(
    lengths: tf.Tensor, capacities: tf.Tensor, max_segments: int | None, may_wait: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the bin of each row, -1 if it found none; how full the bins are, and how many are old.

    As many bins are opened as the rows could fill, some in each round; the first ones by the oldest
    rows, one each. More are opened until at most `may_wait` rows have none.
    """
    several = lengths.shape[1] > 1
    if several:
        lengths, capacities = _distinct_features(lengths, capacities)
    num_turns = _num_turns(capacities) if several else 1
    shares = _shares(lengths, capacities)
    num_wanted = num_filled(shares, max_segments)
    wave = -(-num_wanted // NUM_WAVES)

    def goes_on(
        bins: tf.Tensor, waiting: tf.Tensor, room: tf.Tensor, turn: tf.Tensor, idle: tf.Tensor
    ) -> tf.Tensor:
        num_waiting = tf.size(waiting)
        has_hope = (tf.shape(room)[0] < num_wanted) | (idle < num_turns)
        return (num_waiting > 0) & (has_hope | (num_waiting > may_wait))

    def place_some(
        bins: tf.Tensor, waiting: tf.Tensor, room: tf.Tensor, turn: tf.Tensor, idle: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        length = tf.gather(shares, waiting)
        unopened = num_wanted - tf.shape(room)[0]
        in_need = tf.maximum(num_filled(length, max_segments), 1)
        in_need = tf.where(idle < num_turns, 0, in_need)
        num_new = tf.where(unopened > 0, tf.minimum(wave, unopened), in_need)
        room = tf.concat([room, tf.tile(capacities[None], [num_new, 1])], axis=0)
        num_bins = tf.shape(room)[0]

        most, free = _shares(room, capacities), None
        if max_segments is not None:
            free = max_segments - tf.math.unsorted_segment_sum(tf.ones_like(bins), bins, num_bins)
            most = tf.where(free[:, None] > 0, most, 0)  # no row takes so little
        length, most = _of_scarcest(length, most, turn) if several else (length[:, 0], most[:, 0])
        if several:  # else they are sorted, and stay so
            length, by_length = tf.math.top_k(length, tf.size(length))
            waiting = tf.gather(waiting, by_length)
        most, by_room = tf.math.top_k(most, num_bins)
        placed, found = match(length, most, None if free is None else tf.gather(free, by_room))
        row, into = tf.gather(waiting, placed), tf.gather(by_room, found)
        if several:
            fits = _that_fit(tf.gather(lengths, row), into, room)
            row, into = tf.boolean_mask(row, fits), tf.boolean_mask(into, fits)

        bins = tf.tensor_scatter_nd_update(bins, row[:, None], into)
        room = tf.tensor_scatter_nd_sub(room, into[:, None], tf.gather(lengths, row))
        still_wait = tf.where(tf.gather(bins, waiting) < 0)[:, 0]
        idle = tf.where(tf.size(row) > 0, 0, idle + 1)
        return bins, tf.gather(waiting, still_wait), room, (turn + 1) % num_turns, idle

    rows = tf.range(tf.shape(lengths)[0])
    others = rows[wave:]
    if not several:
        by_length = tf.math.top_k(lengths[wave:, 0], tf.size(others)).indices
        others = tf.gather(others, by_length)
    idle = tf.where(num_wanted > 0, 0, num_turns)  # without bins there is nothing to try
    vector, scalar = tf.TensorShape([None]), tf.TensorShape([])
    room_shape = tf.TensorShape([None, lengths.shape[1]])
    bins, _, room, _, _ = tf.while_loop(
        goes_on,
        place_some,
        (tf.where(rows < wave, rows, -1), others, capacities - lengths[:wave], 0, idle),
        shape_invariants=(vector, vector, room_shape, scalar, scalar),
        parallel_iterations=1,
    )
    return bins, tf.reduce_max(_shares(capacities - room, capacities), axis=1), wave


def _shares(steps: tf.Tensor, capacities: tf.Tensor) -> tf.Tensor:
    """Return which share of the capacities these steps are, the same for the same steps.

    TensorFlow divides by a constant in one place and multiplies by its reciprocal in another: then
    what fits exactly would not.
    """
    return tf.cast(steps, tf.float64) * (1 / tf.cast(capacities, tf.float64))


def num_filled(shares: tf.Tensor, max_segments: int | None) -> tf.Tensor:
    """Return how many bins rows of these shares [N, F] could fill, had the bins no gaps."""
    filled = tf.reduce_max(tf.reduce_sum(shares, axis=0))
    filled = tf.cast(filled + 1e-6, tf.int32)  # a sum of shares may be just below a whole number
    if max_segments is None:
        return filled
    return tf.maximum(filled, tf.shape(shares)[0] // max_segments)


def _distinct_features(lengths: tf.Tensor, capacities: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return lengths and capacities without features that are like another, as tokens and their tags."""
    alike = (capacities[:, None] == capacities) & tf.reduce_all(
        lengths[:, :, None] == lengths[:, None, :], axis=0
    )
    is_new = tf.argmax(tf.cast(alike, tf.int32), axis=1) == tf.range(tf.size(capacities, tf.int64))
    return tf.boolean_mask(lengths, is_new, axis=1), tf.boolean_mask(capacities, is_new)


def _num_turns(capacities: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.size(capacities) > 1, tf.size(capacities) + 1, 1)


def _of_scarcest(
    lengths: tf.Tensor, room: tf.Tensor, turn: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return length and room in the feature that is scarcest for each; -1 where it is not its turn.

    All take part in turn 0. In turn i, bins do for which feature i - 1 is the scarcest, and rows
    for which another one is: this keeps the features of a bin in balance.
    """
    feature = turn - 1
    others = tf.range(tf.shape(lengths)[1]) != feature
    longest = tf.argmax(lengths, axis=1, output_type=tf.int32)
    least = tf.argmin(room, axis=1, output_type=tf.int32)
    length = tf.reduce_max(tf.where(others, lengths, tf.zeros_like(lengths)), axis=1)
    room = tf.reduce_min(tf.where(others, room, tf.ones_like(room)), axis=1)
    return (
        tf.where(longest != feature, length, -1.0),
        tf.where((turn == 0) | (least == feature), room, -1.0),
    )


def _that_fit(taken: tf.Tensor, bins: tf.Tensor, room: tf.Tensor) -> tf.Tensor:
    """Return for each row that takes these steps [M, F] whether all those of its bin fit together."""
    fit = tf.math.unsorted_segment_sum(taken, bins, tf.shape(room)[0]) <= room
    return tf.gather(tf.reduce_all(fit, axis=1), bins)
