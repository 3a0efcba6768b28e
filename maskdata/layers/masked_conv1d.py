"""Steps with a mask -> their convolution, as if each row stood alone."""

from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor
from maskdata._steps import where
from maskdata.layers._row_windows import RowWindows, Windows, output_shape, window_mask
from maskdata.layers._step_masks import check_time_axis, step_mask


@keras.saving.register_keras_serializable(package="maskdata")
class MaskedConv1D(keras.layers.Conv1D):
    """Convolve each row as if it stood alone.

    Stage: steps with a mask -> **their convolution, with the mask of its steps**.

    `keras.layers.Conv1D` reads the padding next to the last valid step, aligns strides with the
    padded axis, and drops the mask. Here a row gives what `keras.layers.Conv1D` gives for
    that row alone, unpadded: with any `strides`, `dilation_rate` and `padding`, padded on either
    side. Masked steps of the output are 0, so that an activity regularizer does not count them.

    A masked step between valid ones reads as zeros. A row that is too short for one
    window of `padding="valid"` has no valid step in the output; if all rows are, the output has
    one masked step.

    Masking:
        uses the mask and makes a new one. With `padding="same"` or `"causal"` a row of n steps has
        ceil(n / strides) output steps; with `"valid"` it has as many as windows fit into it. With
        strides of 1 and `"same"` or `"causal"` it is the mask of the input.

    Args:
        filters: Number of features of the output.
        kernel_size: Number of steps that a window reads.
        strides: Number of steps from one window to the next.
        padding: `"valid"`, `"same"` or `"causal"`.
        **kwargs: The other arguments of `keras.layers.Conv1D`; `data_format` must be
            `"channels_last"`.

    Shapes:
        in: [B, L, D], mask [B, L]
        out: [B, M, filters], mask [B, M]; M is what `keras.layers.Conv1D` gives for L steps

    Raises:
        ValueError: When built, as `keras.layers.Conv1D`, and for another `data_format`. When
            called, for an input without a mask, or with one of another shape.

    Example:
        >>> ones = tf.constant([[[1.0], [1.0], [9.0], [9.0]]])
        >>> h = md.layers.AttachMask()([ones, tf.constant([[1, 1, 0, 0]])])
        >>> sums = md.layers.MaskedConv1D(1, 3, padding="same", kernel_initializer="ones")
        >>> sums(h).numpy().astype(int).ravel().tolist()
        [2, 2, 0, 0]
        >>> keras.layers.Conv1D(1, 3, padding="same", kernel_initializer="ones")(
        ...     md.layers.DropMask()(h)
        ... ).numpy().astype(int).ravel().tolist()
        [2, 11, 19, 18]

    Source: https://github.com/keras-team/keras/issues/411
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides=strides, padding=padding, **kwargs)
        check_time_axis(self)

    @property
    def _windows(self) -> Windows:
        size = (self.kernel_size[0] - 1) * self.dilation_rate[0] + 1
        return Windows(size, self.strides[0], self.padding)

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Return the convolution, 0 where there is no window of a row."""
        mask = step_mask(self, inputs, mask)
        rows = RowWindows(self._windows, mask)
        outputs = ops.conv(
            rows.lay_out(where(mask, inputs, 0)),
            self.kernel,
            strides=list(self.strides),
            padding="valid",
            dilation_rate=self.dilation_rate,
        )
        if self.use_bias:
            outputs = outputs + self.bias
        if self.activation is not None:
            outputs = self.activation(outputs)
        return where(rows.mask, outputs, 0)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Tensor:
        """Return the mask of the output's steps."""
        return window_mask(self._windows, previous_mask)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return [B, M, filters]."""
        return output_shape(self._windows, input_shape, self.filters)
