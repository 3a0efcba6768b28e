"""Ragged rows -> dense rows and their mask, and what a length and a pad value may be."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from maskdata.data import _check

Length = int | Sequence[int] | None | tuple[Any, ...]
PadValue = int | float | str | bytes | bool


def check_length(who: str, name: str, length: Any) -> None:
    """Refuse what is no length: None, an int, a list to choose from, or a tuple of these."""
    if isinstance(length, tuple):
        for entry in length:
            check_length(who, f"each of {name}", entry)
    elif isinstance(length, list):
        _check.increasing(who, name, length)
        if not length:
            _check.refuse(who, f"{name} must have lengths to choose from", length, "Or pass None.")
    elif length is not None:
        _check.integer(who, name, length)


def check_pad_value(who: str, name: str, value: Any) -> None:
    """Refuse a pad value that is not one finite number or string."""
    if not isinstance(value, int | float | str | bytes | np.number):
        _check.refuse(who, f"{name} must be a number or a string", value, "Pass one.", TypeError)
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        _check.refuse(
            who,
            f"{name} must be finite",
            value,
            "NaN in padding makes gradients NaN even where the mask is False.",
        )


def pad_constant(who: str, name: str, value: PadValue, dtype: tf.DType) -> tf.Tensor:
    """Return `value` as a scalar of `dtype`; refuse it if the dtype cannot hold it exactly."""
    if value == 0 and not isinstance(value, str | bytes):
        return tf.zeros([], dtype)
    kinds = str | bytes if dtype == tf.string else int | float | np.number
    fits = isinstance(value, kinds)
    if fits and dtype != tf.string:
        with np.errstate(all="ignore"):
            stored = np.asarray(value).astype(dtype.as_numpy_dtype)
        fits = bool(np.isfinite(stored.astype(np.float64))) and (
            dtype.is_floating or dtype.is_complex or stored == value
        )
    if not fits:
        _check.refuse(
            who,
            f"the pad value of {name!r} must be a value of dtype {dtype.name}",
            value,
            f"Pass pad_values={{{name!r}: ...}}.",
            TypeError,
        )
    return tf.constant(value, dtype)


def pad_rows(
    ragged: tf.RaggedTensor, length: Length, pad_value: tf.Tensor, side: str, name: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return `ragged` [B, (T), ...], one ragged level, as dense [B, L, ...] and mask [B, L]."""
    row_lengths = ragged.row_lengths()
    padded_length = _padded_length(row_lengths, length, name)
    mask = tf.sequence_mask(row_lengths, padded_length)
    pad_value = tf.cast(pad_value, ragged.dtype)
    if side == "left":
        mask = mask[:, ::-1]
        dense = _gather_left(ragged, padded_length, mask, pad_value)
    else:
        rest = [-1] * (ragged.shape.rank - 2)
        shape = tf.cast(tf.stack([-1, padded_length, *rest]), padded_length.dtype)
        dense = ragged.to_tensor(pad_value, shape=shape)
    static_length = length if isinstance(length, int) else None
    static_shape = [ragged.shape[0], static_length, *ragged.values.shape[1:]]
    return tf.ensure_shape(dense, static_shape), tf.ensure_shape(mask, static_shape[:2])


def _gather_left(
    ragged: tf.RaggedTensor, padded_length: tf.Tensor, mask: tf.Tensor, pad_value: tf.Tensor
) -> tf.Tensor:
    """Return rows that end where the padded length ends: each slot takes its step, or the pad."""
    steps = ragged.values
    pad = tf.fill(tf.concat([[1], tf.shape(steps)[1:]], axis=0), pad_value)
    row_ends = ragged.row_limits()[:, None]
    step_of_slot = row_ends - padded_length + tf.range(padded_length)
    num_steps = tf.shape(steps, row_ends.dtype)[0]
    return tf.gather(tf.concat([steps, pad], axis=0), tf.where(mask, step_of_slot, num_steps))


def _padded_length(row_lengths: tf.Tensor, length: Length, name: str) -> tf.Tensor:
    longest = tf.reduce_max(tf.concat([row_lengths, tf.zeros([1], row_lengths.dtype)], axis=0))
    if length is None:
        return longest
    choices = tf.constant(length if isinstance(length, list) else [length], row_lengths.dtype)
    remedy = "Cut it with Truncate, or raise the length."
    with tf.control_dependencies(
        [
            tf.debugging.assert_less_equal(
                longest,
                choices[-1],
                message=f"ToDense: a row of {name} is longer than lengths={length!r} allows. {remedy}",
            )
        ]
    ):
        return tf.gather(choices, tf.searchsorted(choices, longest[None]))[0]
