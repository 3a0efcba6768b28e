"""Steps with a mask -> the same steps, some values dropped, whatever the padding."""

from typing import Any

import keras
from keras import ops

from maskdata._masks import Tensor
from maskdata.layers._noise import drop
from maskdata.layers._step_masks import positions, step_mask


@keras.saving.register_keras_serializable(package="maskdata")
class MaskedDropout(keras.layers.Dropout):
    """Drop values in training, the same ones whatever the padding.

    Stage: steps with a mask -> **the same steps, some values 0, with the mask**.

    `keras.layers.Dropout` draws noise for the padded batch, so that one more padded step gives
    other noise to all rows but the first: the same seed trains another model. Here the noise of a
    value depends on the seed, the call, the row's number in the batch, the valid steps before
    it and the feature; not on the padded length, the side of the padding or the number of rows.
    Chance and scale are those of `keras.layers.Dropout`, the noise itself is not.

    Masking:
        reads the mask to count valid steps, and passes it on. Masks may have holes.

    Args:
        rate: Chance of a value to be dropped, from 0 to 1.
        seed: Seed of the noise. Defaults to a random one.
        **kwargs: The arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Shapes:
        in: [B, L, ...], mask [B, L]
        out: [B, L, ...], mask [B, L]

    Raises:
        ValueError: When built, for a rate outside of [0, 1]. When called, for an input without a
            mask, or with one of another shape.

    Example:
        >>> def drop(length):
        ...     h = tf.ones([2, length, 3])
        ...     h = md.layers.AttachMask()([h, tf.sequence_mask([2, 1], length)])
        ...     return md.layers.MaskedDropout(0.5, seed=1)(h, training=True)[:, :2]
        >>> bool(tf.reduce_all(drop(2) == drop(50)))
        True
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, **kwargs)

    def call(self, inputs: Tensor, mask: Tensor = None, *, training: bool = False) -> Tensor:
        """Return the steps, with noise in training."""
        mask = step_mask(self, inputs, mask)
        if not training or self.rate == 0:
            return inputs
        shape, rank = ops.shape(inputs), len(inputs.shape)
        index = [ops.arange(shape[axis], dtype="int32") for axis in range(rank)]
        coordinates = [ops.reshape(index[0], (-1, *[1] * (rank - 1)))]
        coordinates.append(ops.reshape(positions(mask), (*shape[:2], *[1] * (rank - 2))))
        for axis in range(2, rank):
            coordinates.append(ops.reshape(index[axis], (-1, *[1] * (rank - axis - 1))))
        return drop(inputs, self.rate, self.seed_generator, coordinates)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        config = {**super().get_config()}
        del config["noise_shape"]
        return config
