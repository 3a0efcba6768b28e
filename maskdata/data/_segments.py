"""The rows of a packed batch, one after the other -> dense features, segment ids and positions."""

from collections.abc import Mapping

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._names import SEGMENT_MASK, mask_name, positions_name, segment_ids_name
from maskdata.data._types import Element
from maskdata.data.dense import ragged_to_dense


def pack_segments(
    rows: Element,
    row_splits: tf.Tensor,
    lengths: Mapping[str, int],
    *,
    max_segments: int | None,
    pad_values: Mapping[str, tf.Tensor],
    at_most: int | None = None,
) -> Element:
    """Return packed rows, dense: features with steps [B, L, ...], others [B, S, ...].

    Args:
        rows: The rows, those of a packed row one after the other; none of them too long together.
        row_splits: Where the rows of each packed row begin, and where the last ones end, int64
            [B + 1]. A packed row without rows is wholly padding.
        lengths: The padded length L of each feature with steps.
        max_segments: S; None for the most of a packed row.
        pad_values: What fills the padding of each feature with steps.
        at_most: How many rows a packed row can have, where that is known: ids and positions are
            made in half the bytes if they are small.

    >>> rows = {"ids": tf.ragged.constant([[5, 6], [7], [8, 9]]), "label": tf.constant([3, 1, 2])}
    >>> packed = pack_segments(rows, tf.constant([0, 2, 3], tf.int64), {"ids": 4},
    ...     max_segments=None, pad_values={"ids": 0})
    >>> packed["ids"].numpy().tolist(), packed["ids_segment_ids"].numpy().tolist()
    ([[5, 6, 7, 0], [8, 9, 0, 0]], [[1, 1, 2, 0], [1, 1, 0, 0]])
    >>> packed["label"].numpy().tolist(), packed["segment_mask"].numpy().astype(int).tolist()
    ([[3, 1], [2, 0]], [[1, 1], [1, 0]])
    """
    num_segments = row_splits[1:] - row_splits[:-1]
    most = tf.reduce_max(num_segments)
    if max_segments is not None:
        with tf.control_dependencies([_few_enough(most, max_segments)]):
            num_segments = tf.identity(num_segments)
    segment_ids = tf.ragged.range(1, num_segments + 1).values

    packed: Element = {}
    for name, feature in rows.items():
        if name not in lengths:
            segments = tf.RaggedTensor.from_row_splits(feature, row_splits, validate=False)
            packed[name] = segments.to_tensor(shape=[None, max_segments, *feature.shape[1:]])
            continue
        length, step_splits = lengths[name], tf.gather(feature.row_splits, row_splits)
        packed[name], *masks = _join_rows(feature, step_splits, length, pad_values[name])
        row_lengths = feature.row_lengths()
        packed |= _number_steps(name, segment_ids, row_lengths, step_splits, length, at_most)
        masks[0] = tf.cast(packed[segment_ids_name(name)], tf.bool)  # the same, in one op for five
        packed |= {mask_name(name, level): mask for level, mask in enumerate(masks, start=1)}
    packed[SEGMENT_MASK] = tf.sequence_mask(num_segments, max_segments or most)
    return packed


def _few_enough(most: tf.Tensor, max_segments: int) -> tf.Operation:
    message = f"Pack: packed rows must have at most max_segments={max_segments} segments, got "
    remedy = ". Raise max_segments, or use best_fit, which keeps to it."
    return _check.must_hold(most <= max_segments, message, most, remedy)


def _join_rows(
    feature: tf.RaggedTensor, step_splits: tf.Tensor, length: int, pad_value: tf.Tensor
) -> list[tf.Tensor]:
    """Return the feature with the rows of a packed row as one, dense, and its masks."""
    joined = tf.RaggedTensor.from_row_splits(feature.values, step_splits, validate=False)
    # As a tensor the length is not asserted once more.
    lengths = [tf.constant(length), *[None] * (feature.ragged_rank - 1)]
    dense = ragged_to_dense(joined, lengths=lengths, pad_value=pad_value)
    return [tf.ensure_shape(t, [step_splits.shape[0] - 1, length, *t.shape[2:]]) for t in dense]


def _number_steps(
    name: str,
    segment_ids: tf.Tensor,
    row_lengths: tf.Tensor,
    step_splits: tf.Tensor,
    length: int,
    at_most: int | None,
) -> dict[str, tf.Tensor]:
    """Return the segment ids and positions of a feature, [B, L] int32; 0 in the padding.

    Both are made as one number, the id times a power of two and the position: a range for each row
    is the cheapest way to give each step something of its row, and it is padded once.
    """
    num_bits = length.bit_length()
    is_small = at_most is not None and at_most.bit_length() + num_bits <= 31
    dtype = tf.int32 if is_small else tf.int64
    bits = tf.constant(num_bits, dtype)
    starts = tf.bitwise.left_shift(tf.cast(segment_ids, dtype), bits)
    numbers = tf.ragged.range(starts, starts + tf.cast(row_lengths, dtype)).values
    joined = tf.RaggedTensor.from_row_splits(numbers, step_splits, validate=False)
    padded = joined.to_tensor(shape=[None, length])
    ids = tf.bitwise.right_shift(padded, bits)
    positions = tf.bitwise.bitwise_and(padded, tf.constant(2**num_bits - 1, dtype))
    return {
        segment_ids_name(name): tf.cast(ids, tf.int32),
        positions_name(name): tf.cast(positions, tf.int32),
    }
