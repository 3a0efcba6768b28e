"""A tensor with a mask -> the same tensor without."""

from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor


@keras.saving.register_keras_serializable(package="maskdata")
class DropMask(keras.layers.Layer):
    """End the mask of a tensor.

    Stage: tensor with a mask -> **the same tensor without**.

    For the place where the mask has done its work: in front of a layer that knows no masks
    (Keras warns there that it "will destroy the mask information") or of a loss whose
    sample weights already say everything. Values, shape and dtype stay as they are.

    Masking:
        ends the mask on the output and leaves it on the input. A tensor without a mask passes
        through.

    Args:
        **kwargs: The arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Shapes:
        in: tensor [B, ...]
        out: tensor [B, ...], no mask

    Example:
        >>> h = keras.layers.Masking()(tf.constant([[[1.0], [0.0]]]))
        >>> keras.layers.Flatten()(md.layers.DropMask()(h)).numpy().tolist()
        [[1.0, 0.0]]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # mixed precision must not change the tensor

    def call(self, inputs: Tensor) -> Tensor:
        """Return a copy of the tensor: the input keeps its mask for its other readers."""
        return ops.copy(inputs)

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> None:
        """Return None: the output has no mask."""

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        """Return the tensor's own shape and dtype."""
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the tensor's own shape."""
        return tuple(input_shape)
