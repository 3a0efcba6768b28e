"""Steps with a mask -> one step per window, as if each row stood alone."""

import math
from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor
from maskdata._steps import where
from maskdata.layers._row_windows import RowWindows, Windows, output_shape, window_mask
from maskdata.layers._step_masks import check_time_axis, step_mask


@keras.saving.register_keras_serializable(package="maskdata")
class MaskedAveragePooling1D(keras.layers.AveragePooling1D):
    """Average the valid steps of each window.

    Stage: steps with a mask -> **their averages, with the mask of the windows**.

    `keras.layers.AveragePooling1D` averages the padding in, aligns windows with the padded axis,
    and drops the mask. Here a row gives what `keras.layers.AveragePooling1D` gives for that
    row alone, unpadded, on whichever side it is padded: each sum is divided by the valid steps
    in the window. Sums are float32 at least. Masked steps of the output are 0.

    A masked step between valid ones is left out. A row that is too short for one window of
    `padding="valid"` has no valid step in the output; if all rows are, the output has one masked
    step.

    Masking:
        uses the mask and makes a new one. With `padding="same"` a row of n steps has
        ceil(n / strides) output steps; with `"valid"` it has as many as windows fit into it.

    Args:
        pool_size: Number of steps of a window.
        strides: Number of steps from one window to the next. Defaults to `pool_size`.
        padding: `"valid"` or `"same"`.
        **kwargs: The other arguments of `keras.layers.AveragePooling1D`; `data_format` must be
            `"channels_last"`.

    Shapes:
        in: [B, L, D], mask [B, L]
        out: [B, M, D], mask [B, M]; M is what `keras.layers.AveragePooling1D` gives for L steps

    Raises:
        ValueError: When built, as `keras.layers.AveragePooling1D`, and for another `data_format`.
            When called, for an input without a mask, or with one of another shape.

    Example:
        >>> h = tf.constant([[[1.0], [3.0], [5.0], [99.0]]])
        >>> h = md.layers.AttachMask()([h, tf.constant([[1, 1, 1, 0]])])
        >>> pool = md.layers.MaskedAveragePooling1D(2, padding="same")
        >>> pool(h).numpy().astype(int).ravel().tolist()
        [2, 5]
    """

    def __init__(
        self, pool_size: Any, strides: Any = None, padding: str = "valid", **kwargs: Any
    ) -> None:
        super().__init__(pool_size, strides, padding=padding, **kwargs)
        check_time_axis(self)
        _windows(self)

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Return the averages, 0 where a window has no valid step."""
        mask = step_mask(self, inputs, mask)
        rows = RowWindows(_windows(self), mask)
        dtype = keras.backend.result_type(self.compute_dtype, "float32")

        def average(steps: Tensor) -> Tensor:
            steps = rows.lay_out(ops.cast(steps, dtype))
            return ops.average_pool(steps, self.pool_size, self.strides, "valid")

        valid_share = average(mask[:, :, None])
        averages = ops.divide_no_nan(average(where(mask, inputs, 0)), valid_share)
        return ops.cast(where(rows.mask, averages, 0), self.compute_dtype)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Tensor:
        """Return the mask of the windows."""
        return window_mask(_windows(self), previous_mask)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return [B, M, D]."""
        return output_shape(_windows(self), input_shape, input_shape[2])


@keras.saving.register_keras_serializable(package="maskdata")
class MaskedMaxPooling1D(keras.layers.MaxPooling1D):
    """Take the largest of the valid steps of each window.

    Stage: steps with a mask -> **their maxima, with the mask of the windows**.

    `keras.layers.MaxPooling1D` takes the padding for data, aligns windows with the padded axis,
    and drops the mask. Here a row gives what `keras.layers.MaxPooling1D` gives for that row
    alone, unpadded, on whichever side it is padded. Masked steps of the output are 0.

    A masked step between valid ones is left out. A row that is too short for one window of
    `padding="valid"` has no valid step in the output; if all rows are, the output has one masked
    step.

    Masking:
        uses the mask and makes a new one. With `padding="same"` a row of n steps has
        ceil(n / strides) output steps; with `"valid"` it has as many as windows fit into it.

    Args:
        pool_size: Number of steps of a window.
        strides: Number of steps from one window to the next. Defaults to `pool_size`.
        padding: `"valid"` or `"same"`.
        **kwargs: The other arguments of `keras.layers.MaxPooling1D`; `data_format` must be
            `"channels_last"`.

    Shapes:
        in: [B, L, D], mask [B, L]
        out: [B, M, D], mask [B, M]; M is what `keras.layers.MaxPooling1D` gives for L steps

    Raises:
        ValueError: When built, as `keras.layers.MaxPooling1D`, and for another `data_format`.
            When called, for an input without a mask, or with one of another shape.

    Example:
        >>> h = tf.constant([[[1.0], [3.0], [-5.0], [99.0]]])
        >>> h = md.layers.AttachMask()([h, tf.constant([[1, 1, 1, 0]])])
        >>> pool = md.layers.MaskedMaxPooling1D(2, padding="same")
        >>> pool(h).numpy().astype(int).ravel().tolist()
        [3, -5]
    """

    def __init__(
        self, pool_size: Any, strides: Any = None, padding: str = "valid", **kwargs: Any
    ) -> None:
        super().__init__(pool_size, strides, padding=padding, **kwargs)
        check_time_axis(self)
        _windows(self)

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Return the maxima, 0 where a window has no valid step."""
        mask = step_mask(self, inputs, mask)
        rows = RowWindows(_windows(self), mask)
        inputs = ops.cast(inputs, self.compute_dtype)
        valid = rows.lay_out(ops.cast(mask, inputs.dtype)[:, :, None])
        steps = ops.where(valid > 0, rows.lay_out(where(mask, inputs, 0)), -math.inf)

        def largest(steps: Tensor) -> Tensor:
            return ops.max_pool(steps, self.pool_size, self.strides, "valid")

        maxima = ops.where(largest(valid) > 0, largest(steps), 0)
        return where(rows.mask, maxima, 0)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Tensor:
        """Return the mask of the windows."""
        return window_mask(_windows(self), previous_mask)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return [B, M, D]."""
        return output_shape(_windows(self), input_shape, input_shape[2])


def _windows(layer: Any) -> Windows:
    if layer.padding not in ("valid", "same"):
        raise ValueError(
            f"{type(layer).__name__}: padding must be 'valid' or 'same', got {layer.padding!r}. "
            "Write it in lower case."
        )
    return Windows(layer.pool_size[0], layer.strides[0], layer.padding)
