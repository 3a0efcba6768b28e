"""Steps with a mask -> the same steps, each with a learned vector of its position added."""

import math
from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor
from maskdata._steps import where
from maskdata.layers._step_masks import positions, step_mask


@keras.saving.register_keras_serializable(package="maskdata")
class PositionEmbedding(keras.layers.Layer):
    """Add a learned vector for the position of each step in its own row.

    Stage: steps with a mask -> **steps + the vectors of their positions, with the mask**.

    Written by hand, `h + positions(h)` drops the mask without a warning, and counts positions
    from the first slot of the padded batch, so that padding on the left moves every row. Here
    the first valid step of a row has position 0, on whichever side the row is padded.

    Masking:
        reads the mask to count valid steps, and passes it on. Masks may have holes: a masked step has
        no position.

    Args:
        sequence_length: Number of steps of the longest row; how many vectors are learned. The
            padded length may be larger.
        initializer: How the vectors start. Defaults to `"glorot_uniform"`.
        **kwargs: The arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Shapes:
        in: [B, L, D], mask [B, L]
        out: [B, L, D], mask [B, L]

    Raises:
        ValueError: When built, for a `sequence_length` below 1. When called, for an input without a
            mask, or with one of another shape. A valid step beyond `sequence_length` becomes NaN:
            Keras has no error for values that runs on all backends, and a loss of NaN is seen.

    Example:
        >>> h = tf.zeros([1, 4, 1])
        >>> h = md.layers.AttachMask()([h, tf.constant([[0, 0, 1, 1]])])
        >>> add_positions = md.layers.PositionEmbedding(10)
        >>> added = add_positions(h)
        >>> bool(tf.reduce_all(added[0, 2:] == add_positions.embeddings[:2]))
        True

    Source: `PositionEmbedding` of KerasHub
    """

    def __init__(
        self, sequence_length: int, initializer: Any = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(sequence_length, int) or sequence_length < 1:
            raise ValueError(
                "PositionEmbedding: sequence_length must be an int of at least 1, got "
                f"{sequence_length!r}. Give the number of steps of the longest row."
            )
        self.sequence_length = sequence_length
        self.initializer = keras.initializers.get(initializer)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Make the vectors."""
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.sequence_length, input_shape[-1]),
            initializer=self.initializer,
        )

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Return the sum of the steps and the vectors of their positions."""
        position = positions(step_mask(self, inputs, mask))
        known = position < self.sequence_length
        # Behind a reshape its gradient is dense: replicas cannot add sparse ones of unequal sizes.
        table = ops.reshape(self.embeddings, (self.sequence_length, inputs.shape[-1]))
        vectors = ops.take(table, ops.where(known, position, 0), axis=0)
        return inputs + where(known, vectors, math.nan)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the input."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "sequence_length": self.sequence_length,
            "initializer": keras.initializers.serialize(self.initializer),
        }
