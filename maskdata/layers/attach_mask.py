"""[tensor, mask] -> the same tensor, carrying the mask."""

from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor, fits


@keras.saving.register_keras_serializable(package="maskdata")
class AttachMask(keras.layers.Layer):
    """Make an explicit mask the Keras mask of a tensor.

    Stage: [tensor, mask] -> **the same tensor, carrying the mask**.

    From here on the layers of Keras find the mask where they look for it: recurrent layers,
    attention, pooling and losses. Values, shape and dtype of the tensor stay as they are.

    Place it right *after* the embedding, `AttachMask()([Embedding(...)(ids), mask])`, not on
    the ids: `Embedding(mask_zero=False)` drops the mask of its input with a warning, and
    `mask_zero=True` replaces it by `ids != 0`, which hides every real id 0.

    Masking:
        makes the mask: nonzero or True means data. A mask that the tensor already carries is
        replaced on the output and left alone on the input.

    Args:
        **kwargs: The arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Shapes:
        in: tensor [B, L, ...]; mask [B, L] of any dtype, or longer, as long as its axes are the
            tensor's leading axes ([B, L, M] for [B, L, M, D])
        out: tensor [B, L, ...]; its Keras mask, bool, of the mask's shape

    Raises:
        ValueError: When called, for anything but [tensor, mask], and for a mask whose axes are
            not the tensor's leading axes.

    Example:
        >>> h = tf.constant([[[1.0], [3.0], [8.0]], [[7.0], [8.0], [8.0]]])
        >>> h = md.layers.AttachMask()([h, tf.constant([[1, 1, 0], [1, 0, 0]])])
        >>> keras.layers.GlobalAveragePooling1D()(h).numpy().astype(int).tolist()
        [[2], [7]]

    Source: `Embedding.compute_mask` of Keras 3; https://github.com/keras-team/keras/pull/13683
    """

    def __init__(self, **kwargs: Any) -> None:
        # Without autocast, mixed precision neither changes the tensor nor rounds a tiny float
        # of the mask to zero.
        super().__init__(autocast=False, **kwargs)

    def __call__(self, inputs: list[Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Refuse what is no tensor with its mask, then call the layer."""
        if args or "mask" in kwargs or not _is_pair(inputs):
            given = (inputs, *args, *kwargs.values())
            types = keras.tree.map_structure(lambda x: type(x).__name__, given)
            raise ValueError(
                f"AttachMask: the input must be one list [tensor, mask], got {types}. "
                "Call it as AttachMask()([tensor, mask])."
            )
        shape, mask_shape = (tuple(x.shape) for x in inputs)
        if not mask_shape or not fits(mask_shape, shape[: len(mask_shape)]):
            raise ValueError(
                f"AttachMask: the mask must have the leading axes of the tensor {shape}, "
                f"got {mask_shape}. Give one value per step, usually [B, L]."
            )
        return super().__call__(inputs, **kwargs)

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Return a copy of the tensor: a new one, for Keras hangs the mask on the output."""
        return ops.copy(inputs[0])

    def compute_mask(self, inputs: list[Tensor], previous_mask: Any = None) -> Tensor:
        """Return the given mask as bool; the mask that the tensor had has no say."""
        return ops.cast(inputs[1], "bool")

    def compute_output_spec(self, inputs: list[Tensor]) -> keras.KerasTensor:
        """Return the tensor's own shape and dtype."""
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """Return the tensor's own shape."""
        return tuple(input_shape[0])


def _is_pair(inputs: Any) -> bool:
    is_list = isinstance(inputs, list | tuple) and len(inputs) == 2
    return is_list and all(hasattr(x, "shape") for x in inputs)
