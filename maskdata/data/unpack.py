"""Packed batches -> the rows that were packed."""

from collections.abc import Sequence

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._names import SEGMENT_MASK, mask_name, positions_name, segment_ids_name
from maskdata.data._types import Element


def unpack(batch: Element) -> Element:
    """Return the rows of a packed batch, as they were before `Pack`.

    Stage: packed batches -> **ragged batches**.

    What a model says of each step becomes rows in the same way: it belongs to the segments of the
    feature that it was made from, `{"scores": scores, "scores_segment_ids": batch["tokens_segment_ids"],
    "segment_mask": batch["segment_mask"]}`. Rows that `method="concat_then_split"` has split come
    back as the windows that they were split into. For a whole dataset: `packed.map(md.unpack)`.

    Args:
        batch: The features of one batch. Those with `name_segment_ids` have steps; their masks
            and positions are left out. All others have one value for each segment.

    Shapes:
        in: `name` [B, L, ...] and `name_segment_ids` [B, L]; others [B, S, ...]; `segment_mask` [B, S]
        out: `name` [N, (T), ...] ragged; others [N, ...]; N is the number of segments

    Raises:
        ValueError: When called, for a batch without `segment_mask`.
        tf.errors.InvalidArgumentError: When called, for a segment id that is larger than S.

    Example:
        >>> rows = md.from_rows({"tokens": [[1, 2, 3], [4], [5, 6]], "label": [0, 1, 2]})
        >>> for batch in rows.apply(md.Pack({"tokens": 4}, batch_size=1)):
        ...     unpacked = md.unpack(batch)
        ...     print(unpacked["tokens"].to_list(), unpacked["label"].numpy().tolist())
        [[5, 6]] [2]
        [[1, 2, 3], [4]] [0, 1]
    """
    if SEGMENT_MASK not in batch:
        must = f"a packed batch must have {SEGMENT_MASK!r}"
        _check.refuse("unpack", must, sorted(batch), "Pack makes it: keep it with the features.")
    batch = {name: tf.convert_to_tensor(feature) for name, feature in batch.items()}
    is_segment = tf.cast(batch[SEGMENT_MASK], tf.bool)
    with_steps = [name for name in batch if segment_ids_name(name) in batch]
    companions = {SEGMENT_MASK}
    for name in with_steps:
        companions |= {segment_ids_name(name), positions_name(name)}
        companions |= {mask_name(name, level) for level in range(1, batch[name].shape.rank)}

    rows: Element = {}
    for name, feature in batch.items():
        if name in with_steps:
            inner = [mask_name(name, level) for level in range(2, feature.shape.rank)]
            masks = [batch[mask] for mask in inner if mask in batch]
            rows[name] = _unpack_steps(feature, batch[segment_ids_name(name)], is_segment, masks)
        elif name not in companions:
            rows[name] = tf.boolean_mask(feature, is_segment)
    return rows


def _unpack_steps(
    dense: tf.Tensor, segment_ids: tf.Tensor, is_segment: tf.Tensor, masks: Sequence[tf.Tensor]
) -> tf.RaggedTensor:
    """Return the steps of each segment; `masks` are those of the levels inside of steps."""
    num_packed_rows, most_segments = tf.unstack(tf.shape(is_segment, tf.int64))
    segment_ids = tf.cast(segment_ids, tf.int64)
    message = "unpack: segment ids must be at most the size of segment_mask. Are they of one batch?"
    with tf.control_dependencies(
        [tf.debugging.assert_less_equal(segment_ids, most_segments, message)]
    ):
        is_step = segment_ids > 0
    segment = segment_ids - 1 + most_segments * tf.range(num_packed_rows)[:, None]
    num_steps = tf.math.unsorted_segment_sum(
        tf.ones_like(segment), tf.where(is_step, segment, -1), num_packed_rows * most_segments
    )
    row_lengths = tf.boolean_mask(num_steps, tf.reshape(is_segment, [-1]))
    steps = _without_padding(
        tf.boolean_mask(dense, is_step), [tf.boolean_mask(mask, is_step) for mask in masks]
    )
    return tf.RaggedTensor.from_row_lengths(steps, row_lengths, validate=False)


def _without_padding(dense: tf.Tensor, masks: Sequence[tf.Tensor]) -> tf.Tensor | tf.RaggedTensor:
    """Return `dense` [N, M, ...] without padding; the masks are [N, M], [N, M, ...].

    >>> nested = _without_padding(tf.constant([[5, 0], [6, 7]]), [tf.constant([[True, False], [True, True]])])
    >>> nested.to_list()
    [[5], [6, 7]]
    """
    if not masks:
        return dense
    first, *inner = masks
    values = _without_padding(
        tf.boolean_mask(dense, first), [tf.boolean_mask(mask, first) for mask in inner]
    )
    row_lengths = tf.reduce_sum(tf.cast(first, tf.int64), axis=1)
    return tf.RaggedTensor.from_row_lengths(values, row_lengths, validate=False)
