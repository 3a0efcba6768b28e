"""Ragged rows -> dense rows and their mask, and what a length and a pad value may be."""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import largest
from maskdata.data._types import Element

Length = int | Sequence[int] | None | tuple[Any, ...]
Lengths = Length | Mapping[str, Length] | Mapping[str | tuple[str, ...], Any]
"""One for all features, or by feature, or by several features whose lengths are chosen together."""
PadValue = int | float | str | bytes | bool


def check_lengths(who: str, lengths: Lengths) -> None:
    """Refuse what are no lengths: one for all features, by feature, or by several together."""
    if not isinstance(lengths, Mapping):
        _check_length(who, "lengths", lengths)
        return
    for key, length in lengths.items():
        if isinstance(key, tuple):
            _check.names(who, "each key of lengths", key)
            _check_choices(who, f"lengths[{key!r}]", key, length)
        else:
            _check_length(who, f"lengths[{key!r}]", length)
    named = features_of_lengths(lengths)
    if len(set(named)) < len(named):
        _check.refuse(who, "lengths must name each feature once", named, "Remove the repeat.")


def features_of_lengths(lengths: Lengths) -> list[str]:
    """Return the features that lengths name, alone or several together.

    >>> features_of_lengths({"words": 9, ("source", "target"): [(8, 12), (16, 20)]})
    ['words', 'source', 'target']
    """
    keys = lengths if isinstance(lengths, Mapping) else ()
    return [name for key in keys for name in (key if isinstance(key, tuple) else (key,))]


def _check_length(who: str, name: str, length: Any) -> None:
    """Refuse what is no length: None, an int, a list to choose from, or a tuple of these."""
    if isinstance(length, tuple):
        for entry in length:
            _check_length(who, f"each of {name}", entry)
    elif isinstance(length, list):
        _check.increasing(who, name, length)
        if not length:
            _check.refuse(who, f"{name} must have lengths to choose from", length, "Or pass None.")
    elif length is not None:
        _check.integer(who, name, length)


def _check_choices(who: str, name: str, features: Sequence[str], choices: Any) -> None:
    """Refuse what is no list of tuples to choose from, with a length for each of `features`."""
    if not isinstance(choices, list) or not choices:
        _check.refuse(
            who,
            f"{name} must be a list of tuples to choose from",
            choices,
            "Features that are padded alone have a key of their own.",
            TypeError,
        )
    for i, choice in enumerate(choices):
        _check.integers(who, f"the tuples of {name}", choice)
        if len(choice) != len(features):
            _check.refuse(
                who,
                f"each of {name} must have {len(features)} lengths",
                choice,
                "Pass one for each of these features.",
            )
        if any(all(map(operator.le, choice, earlier)) for earlier in choices[:i]):
            _check.refuse(
                who,
                f"each of {name} must be longer in some feature than each one before it",
                choice,
                "The first that fits is taken, so that this one never is: remove it.",
            )


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
    if dtype == tf.string or isinstance(value, str | bytes):
        fits = dtype == tf.string and isinstance(value, str | bytes)
    else:
        fits = abs(value) < math.inf and holds(dtype, value)
    if not fits:
        _check.refuse(
            who,
            f"the pad value of {name!r} must be a value of dtype {dtype.name}",
            value,
            f"Pass pad_values={{{name!r}: ...}}.",
            TypeError,
        )
    return tf.constant(value, dtype)


def holds(dtype: tf.DType, value: Any) -> bool:
    """Whether a step of this dtype can have this number: floats are rounded, NaN and infinity stay."""
    try:
        with np.errstate(over="ignore"):
            stored = np.array(value, dtype.as_numpy_dtype)
    except (OverflowError, ValueError):
        return False
    rounds = dtype.is_floating or dtype.is_complex
    return bool(np.isfinite(stored) == (abs(value) < math.inf) if rounds else stored == value)


def pad_rows(
    ragged: tf.RaggedTensor, length: Any, pad_value: tf.Tensor, side: str, name: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return `ragged` [B, (T), ...], one ragged level, as dense [B, L, ...] and mask [B, L].

    `length` may also be a scalar tensor, which `lengths_together` chose.
    """
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


def lengths_together(rows: Element, lengths: Lengths) -> dict[str, tf.Tensor]:
    """Return the lengths of the features whose lengths are chosen together, as scalar tensors.

    >>> rows = {"a": tf.ragged.constant([[1, 2], [3]]), "b": tf.ragged.constant([[1], [1, 2, 3]])}
    >>> chosen = lengths_together(rows, {("a", "b"): [(1, 9), (2, 4), (8, 8)]})
    >>> {name: int(length) for name, length in chosen.items()}
    {'a': 2, 'b': 4}
    """
    chosen: dict[str, tf.Tensor] = {}
    for names, choices in lengths.items() if isinstance(lengths, Mapping) else ():
        if isinstance(names, tuple):
            longest = [
                largest(tf.cast(rows[name].row_lengths(), tf.int64), or_else=0) for name in names
            ]
            fitting = _first_fit(tf.stack(longest), choices, ", ".join(names))
            chosen |= dict(zip(names, tf.unstack(fitting, len(names)), strict=True))
    return chosen


def _first_fit(longest: tf.Tensor, choices: Any, names: str) -> tf.Tensor:
    fits = tf.reduce_all(longest <= tf.constant(choices, tf.int64), axis=1)
    message = (
        f"ToDense: the longest rows of {names} fit together into none of lengths={choices!r}. "
        "Cut them with Truncate, or add a longer choice. The longest are:"
    )
    with tf.control_dependencies([_check.must_hold(tf.reduce_any(fits), message, longest)]):
        return tf.gather(tf.constant(choices, tf.int64), tf.argmax(fits))


def _padded_length(row_lengths: tf.Tensor, length: Any, name: str) -> tf.Tensor:
    if tf.is_tensor(length):
        return tf.cast(length, row_lengths.dtype)
    longest = largest(row_lengths, or_else=0)
    if length is None:
        return longest
    choices = tf.constant(length if isinstance(length, list) else [length], row_lengths.dtype)
    most = length[-1] if isinstance(length, list) else length
    message = f"ToDense: rows of {name} must have at most {most} steps, got "
    remedy = ". Cut them with Truncate, or raise the length."
    with tf.control_dependencies([_check.must_hold(longest <= most, message, longest, remedy)]):
        return tf.reduce_min(tf.where(choices >= longest, choices, most))
