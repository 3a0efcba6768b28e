"""Dense rows -> which of their steps are padding."""

from collections.abc import Sequence

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._padding import PadValue, holds
from maskdata.data._types import Element, Spec


def check_padded_axis(
    spec: Spec, features: Sequence[str], lengths: str | None, mask: str | None, axis: int
) -> None:
    """Refuse features without this padded axis, and lengths or a mask that do not fit them."""
    form = f"[B, {'(T), ' * (axis - 1)}L, ...]"
    told_by = [name for name in (lengths, mask) if name is not None]
    for name in (*features, *told_by):
        found = _check.feature("FromPadded", spec, name)
        num_axes = axis if name == lengths else axis + 1
        if getattr(found, "ragged_rank", 0) != axis - 1 or found.shape.rank < num_axes:
            must = f"feature {name!r} must be padded on axis {axis}, {form}"
            remedy = "Axes before the padded one are ragged, it and those after it are dense."
            _check.refuse("FromPadded", must, found, remedy)
        steps, wanted = found.shape[:num_axes], spec[features[0]].shape[:num_axes]
        if not (found.shape if name in told_by else steps).is_compatible_with(wanted):
            must = f"feature {name!r} must fit the steps of {features[0]!r}, {wanted}"
            remedy = "Features with other padding have a FromPadded of their own."
            _check.refuse("FromPadded", must, found, remedy)
        is_legal = found.dtype.is_integer or (name == mask and found.dtype.is_bool)
        if name in told_by and not is_legal:
            must = f"feature {name!r} must hold {'bools or ' if name == mask else ''}ints"
            _check.refuse("FromPadded", must, found, "Convert it with tf.cast.", TypeError)


def same_steps(padded: Element, lengths: str | None) -> list[tf.Operation]:
    """Refuse features whose rows, steps or padded lengths differ; `lengths` has only the rows."""
    message = (
        f"FromPadded: {', '.join(padded)} must have the same rows and steps, padding included. "
        "Features with other padding have a FromPadded of their own."
    )
    first = next(iter(padded.values()))
    checks = []
    for name, feature in padded.items():
        num_axes = 1 if name == lengths else 2
        pairs = zip(_sizes(feature, num_axes), _sizes(first, num_axes), strict=True)
        checks += [tf.debugging.assert_equal(size, other, message) for size, other in pairs]
    return checks


def _sizes(feature: tf.Tensor | tf.RaggedTensor, num_axes: int) -> list[tf.Tensor]:
    """Return the sizes of the axes up to the padded one: row splits of those that are ragged."""
    if not isinstance(feature, tf.RaggedTensor):
        return [tf.shape(feature, tf.int64)[:num_axes]]
    splits = [tf.cast(splits, tf.int64) for splits in feature.nested_row_splits]
    return [*splits, *_sizes(feature.flat_values, num_axes)]


def pad_value_of(name: str, value: PadValue, dtype: tf.DType) -> tf.Tensor:
    """Return `value`, which may be NaN, as a scalar of `dtype`; refuse it if no step can have it."""
    if value == 0 and not isinstance(value, str | bytes):
        return tf.zeros([], dtype)
    if dtype == tf.string or isinstance(value, str | bytes):
        fits = dtype == tf.string and isinstance(value, str | bytes)
    else:
        fits = holds(dtype, value)
    if not fits:
        must = f"the pad value of {name!r} must be a value of dtype {dtype.name}"
        _check.refuse("FromPadded", must, value, f"Pass pad_value={{{name!r}: ...}}.", TypeError)
    return tf.constant(value, dtype)


def has_value(dense: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Return at which steps all columns of `dense` [B, L, ...] equal `value`, [B, L]; NaN is NaN.

    >>> has_value(tf.constant([[[0.0, 0.0], [0.0, 1.0]]]), tf.zeros([])).numpy().tolist()
    [[True, False]]
    """
    equal = dense == value
    if value.dtype.is_floating:
        equal |= tf.math.is_nan(dense) & tf.math.is_nan(value)
    return tf.reduce_all(equal, axis=range(2, dense.shape.rank))


def order_of_steps(dense: tf.Tensor, side: str) -> tf.Tensor:
    """Return the place [L] of each slot if padding stands on this side: 1 is data before 2 is.

    >>> order_of_steps(tf.zeros([2, 3]), "left").numpy().tolist()
    [3, 2, 1]
    """
    places = tf.range(1, tf.shape(dense, tf.int64)[1] + 1)
    return places if side == "right" else places[::-1]


def before_the_padding(is_data: tf.Tensor, side: str) -> tf.Tensor:
    """Return what is not in the run of padding on this side, [B, L] bool.

    >>> before_the_padding(tf.constant([[True, False, True, False]]), "right").numpy().tolist()
    [[True, True, True, False]]
    """
    order = order_of_steps(is_data, side)
    num_steps = tf.reduce_max(tf.where(is_data, order, 0), axis=1, keepdims=True)
    return order <= num_steps


def first_steps(dense: tf.Tensor, lengths: tf.Tensor, side: str, name: str) -> tf.Tensor:
    """Return where the first steps of each row are, as many as `lengths` [B] says, [B, L] bool.

    >>> first_steps(tf.zeros([2, 3]), tf.constant([2, 0]), "left", "n").numpy().tolist()
    [[False, True, True], [False, False, False]]
    """
    lengths, longest = tf.cast(lengths, tf.int64), tf.shape(dense, tf.int64)[1]
    message = (
        f"FromPadded: {name} must lie between 0 and the padded length. "
        "Check what counted the steps."
    )
    with tf.control_dependencies(
        [
            tf.debugging.assert_non_negative(lengths, message),
            tf.debugging.assert_less_equal(lengths, longest, message),
        ]
    ):
        return order_of_steps(dense, side) <= lengths[:, None]
