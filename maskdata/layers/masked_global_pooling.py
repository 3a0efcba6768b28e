"""Steps with a mask -> one vector per row, from its valid steps alone."""

import math
from typing import Any

import keras
from keras import ops

from maskdata._masks import Tensor
from maskdata._steps import where
from maskdata.layers._step_masks import check_time_axis, step_mask


@keras.saving.register_keras_serializable(package="maskdata")
class MaskedGlobalAveragePooling1D(keras.layers.GlobalAveragePooling1D):
    """Average the valid steps of each row.

    Stage: steps with a mask -> **the mean of each row's valid steps**.

    `keras.layers.GlobalAveragePooling1D` uses the mask too, but a row without any valid step
    becomes NaN, and all weights with it, even if its sample weight is 0; and with `mixed_float16`
    it adds up and counts in float16, where a row of 70,000 ones has a mean of 0. Here a row
    without a valid step is 0, and sums are float32 at least.

    Masking:
        uses the mask and ends it: the output has no steps. Masks may have holes.

    Args:
        **kwargs: The arguments of `keras.layers.GlobalAveragePooling1D`; `data_format` must be
            `"channels_last"`.

    Shapes:
        in: [B, L, D], mask [B, L]
        out: [B, D], or [B, 1, D] with `keepdims=True`

    Raises:
        ValueError: When built, for another `data_format`. When called, for an input without a mask,
            or with one of another shape.

    Example:
        >>> h = tf.constant([[[1.0], [3.0], [99.0]], [[99.0], [99.0], [99.0]]])
        >>> h = md.layers.AttachMask()([h, tf.constant([[1, 1, 0], [0, 0, 0]])])
        >>> md.layers.MaskedGlobalAveragePooling1D()(h).numpy().astype(int).tolist()
        [[2], [0]]
        >>> keras.layers.GlobalAveragePooling1D()(h).numpy().tolist()
        [[2.0], [nan]]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_time_axis(self)

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Return the means, 0 for a row without a valid step."""
        mask = step_mask(self, inputs, mask)
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        steps = ops.cast(where(mask, inputs, 0), dtype)
        count = ops.sum(ops.cast(mask, dtype), axis=1)[:, None]
        means = ops.sum(steps, axis=1) / ops.maximum(count, 1)
        means = ops.expand_dims(means, 1) if self.keepdims else means
        return ops.cast(means, self.compute_dtype)


@keras.saving.register_keras_serializable(package="maskdata")
class MaskedGlobalMaxPooling1D(keras.layers.GlobalMaxPooling1D):
    """Take the largest of the valid steps of each row.

    Stage: steps with a mask -> **the maximum of each row's valid steps**.

    `keras.layers.GlobalMaxPooling1D` takes the padding for data. Here only valid steps count, in
    any precision, and a row without a valid step is 0.

    Masking:
        uses the mask and ends it: the output has no steps. Masks may have holes.

    Args:
        **kwargs: The arguments of `keras.layers.GlobalMaxPooling1D`; `data_format` must be
            `"channels_last"`.

    Shapes:
        in: [B, L, D], mask [B, L]
        out: [B, D], or [B, 1, D] with `keepdims=True`

    Raises:
        ValueError: When built, for another `data_format`. When called, for an input without a mask,
            or with one of another shape.

    Example:
        >>> h = tf.constant([[[-4.0], [-3.0], [0.0]], [[9.0], [9.0], [9.0]]])
        >>> h = md.layers.AttachMask()([h, tf.constant([[1, 1, 0], [0, 0, 0]])])
        >>> md.layers.MaskedGlobalMaxPooling1D()(h).numpy().astype(int).tolist()
        [[-3], [0]]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_time_axis(self)
        self.supports_masking = True

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Return the maxima, 0 for a row without a valid step."""
        mask = step_mask(self, inputs, mask)
        steps = where(mask, ops.cast(inputs, self.compute_dtype), -math.inf)
        maxima = ops.max(steps, axis=1, initial=-math.inf)
        maxima = where(ops.any(mask, axis=1), maxima, 0)
        return ops.expand_dims(maxima, 1) if self.keepdims else maxima

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """Return None: the output has no steps."""
