"""A tensor and its mask -> the mask of its steps, or a refusal."""

from typing import Any

import keras
from keras import ops

from maskdata._masks import Tensor, fits


def step_mask(layer: keras.layers.Layer, inputs: Tensor, mask: Any, *, of: str = "input") -> Tensor:
    """Return the mask [B, L] of `inputs` as bool; refuse none, and one that does not fit."""
    if mask is None:
        refuse_no_mask(layer, of)
        return ops.ones(ops.shape(inputs)[:2], "bool")
    check_mask(layer, inputs, mask, axes=2, of=of)
    return ops.cast(mask, "bool")


def refuse_no_mask(layer: keras.layers.Layer, of: str = "input") -> None:
    """Refuse a call without a mask, unless Keras only infers shapes.

    For that it runs `call` with stand-ins that carry no masks; their values are never used.
    """
    with keras.SymbolicScope() as scope:
        if scope.original_scope is not None:
            return
    raise ValueError(
        f"{type(layer).__name__}: the {of} must carry a mask, got None. Put AttachMask in front; "
        "if every step is data, attach a mask of ones."
    )


def check_mask(
    layer: keras.layers.Layer, inputs: Tensor, mask: Tensor, *, axes: int, of: str = "input"
) -> None:
    """Refuse a mask without the leading axes of the inputs, or one that cannot be bool."""
    who, shape, expected = type(layer).__name__, tuple(mask.shape), tuple(inputs.shape[:axes])
    if not fits(shape, expected):
        raise ValueError(
            f"{who}: the mask of the {of} must have the shape of its steps {expected}, got {shape}. "
            "Give one value per step, usually [B, L]."
        )
    if keras.backend.standardize_dtype(mask.dtype) == "string":
        raise ValueError(
            f"{who}: the mask of the {of} must be bool or numbers, got 'string'. "
            "True or nonzero means data."
        )


def positions(mask: Tensor) -> Tensor:
    """Return the position of each valid step in its own row, int32; 0 at masked steps."""
    valid = ops.cast(mask, "int32")
    return (ops.cumsum(valid, axis=1) - 1) * valid


def check_time_axis(layer: keras.layers.Layer) -> None:
    """Refuse a layer whose steps are not on axis 1: masks are [B, L], as the leading axes."""
    if layer.data_format != "channels_last":
        raise ValueError(
            f"{type(layer).__name__}: data_format must be 'channels_last', got "
            f"{layer.data_format!r}. Put keras.layers.Permute((2, 1)) and then AttachMask in front."
        )
