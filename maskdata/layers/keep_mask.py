"""A layer or function that keeps the steps -> the same, keeping their mask too."""

import functools
import inspect
import re
import warnings
from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor, fits
from maskdata.layers._step_masks import check_mask, refuse_no_mask


@keras.saving.register_keras_serializable(package="maskdata")
class KeepMask(keras.layers.Wrapper):
    """Pass the mask around a layer or function that keeps the steps.

    Stage: steps with a mask -> **what the layer makes of them, with the same mask**.

    Many layers drop the mask although step i of their output belongs to step i of their input:
    `EinsumDense`, `RMSNormalization`, `Lambda`, layers of your own, and every operator and function of
    `keras.ops`. The sum of a masked tensor and one without has no mask either, and that is what a
    residual connection around such a layer is. Here the output has the mask of the input. Values
    are those of the layer: wrap one that does not mix valid steps with padding.

    Masking:
        passes the mask on. Of several inputs those that have a mask count, and a step is valid
        if it is so in each of them. The layer sees the masks as it would without KeepMask.

    Args:
        layer: A layer, or a function of one argument. It is called with the input as it is: a tensor
            or a list of tensors, as for `keras.layers.Add`. To save a model, a function must have a
            name and be registered (`keras.saving.register_keras_serializable`).
        **kwargs: The arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Shapes:
        in: a tensor [B, L, ...], or a list of such; masks [B, L] or longer, at least one
        out: [B, L, ...], the mask's shape stays

    Raises:
        ValueError: When built, for what is no layer and cannot be called. When called, for a layer
            that changes the number of steps or returns several tensors, and for inputs without
            any mask.

    Example:
        >>> h = md.layers.AttachMask()([tf.ones([1, 3, 2]), tf.constant([[1, 1, 0]])])
        >>> doubled = md.layers.KeepMask(lambda h: 2 * h)(h)
        >>> residual = md.layers.KeepMask(keras.layers.Add())([h, 2 * h])  # 2 * h has no mask
        >>> for out in (doubled, residual):
        ...     keras.layers.GlobalAveragePooling1D()(out).numpy().tolist()
        [[2.0, 2.0]]
        [[3.0, 3.0]]
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        if not callable(layer) or inspect.isclass(layer):
            raise ValueError(
                f"KeepMask: layer must be a layer or a function, got {layer!r}. "
                "For example keras.layers.Add(), or keras.ops.gelu."
            )
        is_layer = isinstance(layer, keras.layers.Layer)
        super().__init__(layer if is_layer else keras.layers.Lambda(layer), **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Build the layer, and refuse one that changes the number of steps."""
        super().build(input_shape)
        is_one = not isinstance(input_shape[0], list | tuple)
        shapes = [input_shape] if is_one else input_shape
        # Another length than the real one, which may be that of another axis by chance; and long
        # enough for windows.
        length = 1000 + max(shape[1] or 0 for shape in shapes)
        shapes = [(shape[0], length, *shape[2:]) for shape in shapes]
        try:
            output_shape = self.layer.compute_output_shape(shapes[0] if is_one else shapes)
        except (NotImplementedError, ValueError):
            return  # Then it is seen when called.
        self._check_steps(shapes[0], output_shape)

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        """Return what the layer returns."""
        tensors, masks = keras.tree.flatten(inputs), keras.tree.flatten(mask)
        if all(each is None for each in masks):
            refuse_no_mask(self)
        for tensor, each in zip(tensors, masks, strict=False):  # Keras may give one None for all
            if each is not None:
                check_mask(self, tensor, each, axes=len(each.shape))
        with warnings.catch_warnings():
            # "... will therefore destroy the mask information": not here.
            warnings.filterwarnings("ignore", re.escape(f"Layer '{self.layer.name}' "), UserWarning)
            outputs = self.layer(inputs)
        shapes = keras.tree.map_structure(lambda output: tuple(output.shape), outputs)
        self._check_steps(tuple(tensors[0].shape), shapes)
        return ops.copy(outputs)  # A new tensor, without the mask that the layer put on it.

    def _check_steps(self, input_shape: Shape, output_shape: Any) -> None:
        is_one = isinstance(output_shape, tuple) and not isinstance(output_shape[0], list | tuple)
        if not is_one or not fits(output_shape[:2], input_shape[:2]):
            raise ValueError(
                f"KeepMask: the output of {self.layer.name!r} must be one tensor with the steps of "
                f"its input, got {output_shape} for {input_shape}. Wrap what keeps the steps; "
                "MaskedConv1D, the pooling layers and TemporalSplit make a mask of their own."
            )

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Tensor:
        """Return the mask of the input, or what the masks of several inputs have in common."""
        masks = [mask for mask in keras.tree.flatten(previous_mask) if mask is not None]
        return functools.reduce(ops.logical_and, masks) if masks else None
