"""Steps with a mask -> the same steps, normalised by the statistics of the valid ones."""

from typing import Any

import keras
from keras import ops

from maskdata._masks import Tensor
from maskdata._steps import where
from maskdata.layers._step_masks import step_mask


@keras.saving.register_keras_serializable(package="maskdata")
class MaskedGroupNormalization(keras.layers.GroupNormalization):
    """Normalise groups of features by the mean and variance of a row's valid steps.

    Stage: steps with a mask -> **normalised steps, with the mask**.

    `keras.layers.GroupNormalization` counts the padding in its statistics. Here each row is what
    `keras.layers.GroupNormalization` gives for that row alone, unpadded. `groups=-1` is instance
    normalisation. Statistics are float32 at least. Masked steps of the output are 0.

    Masking:
        uses the mask and passes it on. Masks may have holes.

    Args:
        groups: Number of groups of features; -1 for one feature each. Defaults to 32.
        **kwargs: The other arguments of `keras.layers.GroupNormalization`; `axis` must be -1.

    Shapes:
        in: [B, L, ..., D], mask [B, L]
        out: [B, L, ..., D], mask [B, L]

    Raises:
        ValueError: When built, as `keras.layers.GroupNormalization`, and for another `axis`. When
            called, for an input without a mask, or with one of another shape.

    Example:
        >>> h = tf.constant([[[1.0], [3.0], [99.0]]])
        >>> h = md.layers.AttachMask()([h, tf.constant([[1, 1, 0]])])
        >>> norm = md.layers.MaskedGroupNormalization(1, epsilon=1e-9)
        >>> norm(h).numpy().round().astype(int).ravel().tolist()
        [-1, 1, 0]
    """

    def __init__(self, groups: int = 32, **kwargs: Any) -> None:
        super().__init__(groups, **kwargs)
        if self.axis != -1:
            raise ValueError(
                f"MaskedGroupNormalization: axis must be -1, got {self.axis!r}. "
                "Put keras.layers.Permute and then AttachMask in front."
            )

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Return the normalised steps, 0 at masked ones."""
        mask = step_mask(self, inputs, mask)
        shape = ops.shape(inputs)
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        steps = ops.cast(where(mask, inputs, 0), dtype)
        grouped = ops.reshape(steps, (*shape[:-1], self.groups, inputs.shape[-1] // self.groups))

        axes = [axis for axis in range(1, len(grouped.shape)) if axis != len(grouped.shape) - 2]
        count = where(mask, ops.ones_like(grouped), 0)
        count = ops.maximum(ops.sum(count, axes, keepdims=True), 1)
        mean = ops.sum(grouped, axes, keepdims=True) / count
        centered = where(mask, grouped - mean, 0)
        variance = ops.sum(ops.square(centered), axes, keepdims=True) / count

        outputs = ops.reshape(centered * ops.rsqrt(variance + self.epsilon), shape)
        if self.scale:
            outputs = outputs * ops.cast(self.gamma, dtype)
        if self.center:
            outputs = outputs + ops.cast(self.beta, dtype)
        return ops.cast(where(mask, outputs, 0), self.compute_dtype)
