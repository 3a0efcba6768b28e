"""A tensor -> the Keras mask that it carries; two shapes -> whether they fit."""

from typing import Any

import keras

Tensor = Any  # whatever the backend's tensors are
Shape = tuple[int | None, ...]


class _MaskReader(keras.layers.Layer):
    """Return the mask of the input: Keras fills in a layer's argument `mask`."""

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor | None:
        return mask

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> None:
        return None


_read = _MaskReader(name="keras_mask", autocast=False)


def keras_mask(tensor: Tensor) -> Tensor | None:
    """Return the Keras mask of `tensor`, or None.

    Read through a layer, because nothing else in public reads it. The attribute
    `_keras_mask` is private, and on JAX the mask is not kept there.
    """
    return _read(tensor) if hasattr(tensor, "shape") else None


def fits(shape: Shape, expected: Shape) -> bool:
    """Tell whether two shapes can be the same, as far as they are known."""
    return len(shape) == len(expected) and all(
        None in pair or pair[0] == pair[1] for pair in zip(shape, expected, strict=True)
    )
