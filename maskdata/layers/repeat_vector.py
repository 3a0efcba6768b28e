"""One vector per row, and steps with a mask -> the vector at each of these steps."""

from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor
from maskdata._steps import where
from maskdata.layers._step_masks import step_mask


@keras.saving.register_keras_serializable(package="maskdata")
class RepeatVector(keras.layers.Layer):
    """Repeat a vector for each step of another tensor, and carry on its mask.

    Stage: [vectors, steps with a mask] -> **the row's vector at each step, with the mask**.

    An encoder that ends in one vector per row (`return_sequences=False`, pooling) ends the mask
    too, and `keras.layers.RepeatVector(n)` makes n steps for every row, none of them masked: the
    decoder computes, and its loss counts, steps that no row has. Here the decoder has the steps
    of `steps`: those of the encoder's input in an autoencoder, those of the targets otherwise.
    Their values are not read. Masked steps of the output are 0.

    Masking:
        passes the mask of `steps` on. Masks may have holes.

    Args:
        **kwargs: The arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Shapes:
        in: vectors [B, D]; steps [B, L, ...], mask [B, L]
        out: [B, L, D], mask [B, L]

    Raises:
        ValueError: When called, for anything but [vectors, steps], for vectors of another rank, and
            for steps without a mask, or with one of another shape.

    Example:
        >>> mask = tf.constant([[1, 1, 0], [1, 0, 0]])
        >>> steps = md.layers.AttachMask()([mask, mask])  # any values will do
        >>> vectors = tf.constant([[5.0], [7.0]])
        >>> repeated = md.layers.RepeatVector()([vectors, steps])
        >>> repeated[..., 0].numpy().astype(int).tolist()
        [[5, 5, 0], [7, 0, 0]]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def __call__(self, inputs: list[Tensor], **kwargs: Any) -> Tensor:
        """Refuse what is no vectors with steps, then call the layer."""
        shapes = keras.tree.map_structure(lambda x: tuple(getattr(x, "shape", ())), inputs)
        is_pair = isinstance(inputs, list | tuple) and len(inputs) == 2
        if not is_pair or len(shapes[0]) != 2 or len(shapes[1]) < 2:
            raise ValueError(
                "RepeatVector: the input must be one list [vectors, steps] of shapes [B, D] and "
                f"[B, L, ...], got {shapes}. Call it as RepeatVector()([vectors, steps])."
            )
        return super().__call__(inputs, **kwargs)

    def call(self, inputs: list[Tensor], mask: Any = None) -> Tensor:
        """Return the vectors at the valid steps, 0 at the others."""
        vectors, steps = inputs
        step_is_valid = step_mask(self, steps, None if mask is None else mask[1], of="second input")
        repeated = ops.repeat(vectors[:, None], ops.shape(steps)[1], axis=1)
        return where(step_is_valid, repeated, 0)

    def compute_mask(self, inputs: list[Tensor], previous_mask: Any = None) -> Tensor:
        """Return the mask of the steps."""
        return None if previous_mask is None else previous_mask[1]

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """Return [B, L, D]."""
        vectors, steps = input_shape
        return vectors[0], steps[1], vectors[1]
