"""Numbers with a mask -> their softmax, as if there were no padding."""

import keras
from keras import ops

from maskdata._masks import Tensor
from maskdata.layers._step_masks import step_mask


@keras.saving.register_keras_serializable(package="maskdata")
class MaskedSoftmax(keras.layers.Softmax):
    """Turn numbers into shares that add up to 1 over time or over features.

    Stage: numbers with a mask -> **their softmax over the valid steps, with the mask**.

    `keras.layers.Softmax` takes the mask of the steps [B, L] for one of the last axes: it fails on
    [B, L, D], or masks wrong entries if the numbers happen to fit. Here the mask belongs to the
    steps whatever the axis: over time (`axis=1`) only valid steps share, over features (`axis=-1`)
    each valid step does as if it were alone. Masked steps are 0. Sums are float32 at least.

    Masking:
        uses the mask and passes it on. Masks may have holes.

    Args:
        axis: Axis or axes that add up to 1. Time is axis 1; for scores [B, L] that is the default.
        **kwargs: The arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Shapes:
        in: [B, L, ...], mask [B, L]
        out: [B, L, ...], mask [B, L]

    Raises:
        ValueError: When called, for an input without a mask, or with one of another shape.

    Example:
        >>> scores = md.layers.AttachMask()([tf.zeros([1, 3, 2]), tf.constant([[1, 1, 0]])])
        >>> md.layers.MaskedSoftmax(axis=1)(scores).numpy().tolist()
        [[[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]]]
        >>> md.layers.MaskedSoftmax()(scores).numpy().tolist()
        [[[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]]]
    """

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Return the shares, 0 at masked steps."""
        mask = step_mask(self, inputs, mask)
        while len(mask.shape) < len(inputs.shape):
            mask = ops.expand_dims(mask, -1)
        return softmax(ops.cast(inputs, self.compute_dtype), mask, self.axis)


def softmax(inputs: Tensor, mask: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """Return the softmax of the entries that the mask, of the same rank, allows; 0 elsewhere."""
    dtype = keras.backend.result_type(inputs.dtype, "float32")
    # Finite, for inf - inf is NaN, and so low that exp gives 0.
    inputs, given = ops.where(mask, ops.cast(inputs, dtype), -1e38), inputs.dtype
    largest = ops.stop_gradient(ops.max(inputs, axis, keepdims=True, initial=-1e38))
    exponentials = ops.where(mask, ops.exp(inputs - largest), 0)
    total = ops.sum(exponentials, axis, keepdims=True)
    # Not `ops.softmax`, which warns of axes of size 1, nor `maximum`, whose gradient is split
    # where both sides are 1: of a row with one step.
    shares = exponentials / ops.where(total > 0, total, 1)
    return ops.cast(shares, given)
