"""Labels -> which of them to ignore, and the weight of their class."""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from maskdata._keras_objects import has_classes
from maskdata._masks import Shape, Tensor, fits

IgnoreValue = float | list[float] | None
ClassWeight = dict[int, float] | None


def check_ignore_value(who: str, value: Any) -> IgnoreValue:
    """Return a label to ignore as plain numbers, or refuse it."""
    if hasattr(value, "tolist"):
        value = value.tolist()  # a scalar or vector of NumPy
    whole = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if value is not None and (not whole or not all(map(_is_number, whole))):
        raise ValueError(
            f"{who}: ignore_value must be a number or a list of numbers, got {value!r}. "
            "Give one label as it stands in y_true, such as -1 or [0, 0, 1]."
        )
    return value if value is None or _is_number(value) else whole


def check_class_weight(who: str, weights: Any) -> ClassWeight:
    """Return the weights of the classes as plain numbers, or refuse them."""
    if weights is None:
        return None
    given = weights if isinstance(weights, Mapping) else {}
    plain = {_as_class(label): _as_weight(weight) for label, weight in given.items()}
    if not plain or None in plain or None in plain.values():
        raise ValueError(
            f"{who}: class_weight must map class numbers to weights of 0 or more, "
            f"got {weights!r}. For example {{0: 1.0, 2: 5.0}}; other classes weigh 1."
        )
    return plain


def is_label(who: str, of: Any, y_true: Tensor, steps: int, value: Any) -> Tensor:
    """Tell at which steps `y_true` is this label; its first `steps` axes are the steps."""
    shape = tuple(y_true.shape)
    if isinstance(value, list):
        if len(shape) == steps or not fits(shape[-1:], (len(value),)):
            raise ValueError(
                f"{who}: ignore_value must be one label of y_true {shape}, got {value!r}. "
                "Give as many numbers as its last axis has."
            )
        return ops.all(_equal(y_true, value), axis=-1)
    if len(shape) > steps and shape[-1] != 1:
        # Not a class: the value of one of D numbers says nothing about the others.
        _check_one_hot(who, of, f"ignore_value {value!r}", shape)
        if not (0 <= value < (shape[-1] or math.inf) and float(value).is_integer()):
            raise ValueError(
                f"{who}: ignore_value must be a class of one-hot labels {shape}, got {value!r}. "
                "Give the whole label, such as [0, 0, 1]."
            )
    return _equal(_class_of(y_true, steps), value)


def weight_of_class(
    who: str, of: Any, y_true: Tensor, steps: int, weights: dict[int, float]
) -> Tensor:
    """Return the weight of the class of every step; whatever is no known class weighs 1."""
    shape = tuple(y_true.shape)
    if len(shape) > steps and shape[-1] != 1:
        _check_one_hot(who, of, "class_weight", shape)
    label = _class_of(y_true, steps)
    # The last place is for all others, and for what padding holds: NaN, infinities, -1.
    table = [weights.get(i, 1.0) for i in range(max(weights) + 1)] + [1.0]
    others = len(table) - 1
    inside = ops.logical_and(label >= 0, label < others)
    place = ops.cast(ops.where(inside, label, others), "int32")
    is_whole = ops.equal(ops.cast(place, label.dtype), label)
    return ops.take(ops.convert_to_tensor(table, label.dtype), ops.where(is_whole, place, others))


def _class_of(y_true: Tensor, steps: int) -> Tensor:
    """Return the class number of every step, or -1 for a row of a one-hot label without a one."""
    y_true = _as_float(y_true)
    if len(y_true.shape) == steps:
        return y_true
    if y_true.shape[-1] == 1:
        return y_true[..., 0]
    largest = ops.cast(ops.argmax(y_true, axis=-1), y_true.dtype)
    return ops.where(ops.max(y_true, axis=-1) > 0, largest, -1.0)


def _check_one_hot(who: str, of: Any, what: str, shape: Shape) -> None:
    if not has_classes(of):
        raise ValueError(
            f"{who}: labels must be class numbers or one-hot for {what}, got {shape}, "
            "which are several numbers a step here. Give ignore_value as the whole label, "
            "such as [0, 0, 1], and class weights as sample_weight."
        )


def _equal(y_true: Tensor, value: Any) -> Tensor:
    y_true = _as_float(y_true)
    value = ops.convert_to_tensor(value, y_true.dtype)
    both_nan = ops.logical_and(ops.isnan(y_true), ops.isnan(value))
    return ops.logical_or(ops.equal(y_true, value), both_nan)


def _as_float(y_true: Tensor) -> Tensor:
    """Return labels in a dtype that holds class numbers exactly, and NaN."""
    return ops.cast(y_true, "float64" if "float64" in str(y_true.dtype) else "float32")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_weight(weight: Any) -> Any:
    """Return a weight as a float, or None."""
    try:
        number = float(weight)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < math.inf else None


def _as_class(label: Any) -> Any:
    """Return a class number, or None. JSON, in which models are saved, makes strings of keys."""
    try:
        number = int(label) if isinstance(label, str) else operator.index(label)
    except (TypeError, ValueError):
        return None
    return number if number >= 0 else None
