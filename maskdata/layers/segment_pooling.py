"""Steps of packed rows -> one vector for each segment."""

from typing import Any, Literal, get_args

import keras
from keras import ops

from maskdata._masks import Shape, Tensor
from maskdata._steps import where

Reduction = Literal["mean", "max", "first", "last"]


@keras.saving.register_keras_serializable(package="maskdata")
class SegmentPooling(keras.layers.Layer):
    """Reduce the steps of each segment of a packed row to one vector.

    Stage: [steps, segment ids, segment mask] -> **one vector for each segment, with the segment mask**.

    What global pooling is for rows that stand alone. The order is that of the features which `Pack`
    carries to segment level, such as labels, so that a loss fits. A segment without steps is 0.

    Masking:
        makes the mask of its output from the segment mask; the mask of the steps is not needed,
        because padding has the segment id 0.

    Args:
        reduction: What becomes of the steps of a segment: `"mean"`, `"max"`, or its `"first"` or
            `"last"` step.
        **kwargs: The arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Shapes:
        in: steps [B, L, D]; segment ids [B, L], 0 for padding; segment mask [B, S]
        out: [B, S, D], mask [B, S]

    Raises:
        ValueError: When built, for another `reduction`. When called, for anything but three
            tensors of these ranks.

    Example:
        >>> h = tf.constant([[[1.0], [3.0], [5.0], [99.0]]])
        >>> ids, segments = tf.constant([[1, 1, 2, 0]]), tf.constant([[True, True]])
        >>> md.layers.SegmentPooling("mean")([h, ids, segments]).numpy().tolist()
        [[[2.0], [5.0]]]
    """

    def __init__(self, reduction: Reduction = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if reduction not in get_args(Reduction):
            raise ValueError(
                f"SegmentPooling: reduction must be one of {list(get_args(Reduction))}, "
                f"got {reduction!r}. Pick one of these."
            )
        self.reduction = reduction

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Return a vector for each segment."""
        _check(inputs)
        steps, segment_ids, segment_mask = inputs
        batch, segments = ops.shape(segment_mask)
        row = ops.arange(batch, dtype="int32")[:, None] * segments
        # All segments of all rows are numbered; padding goes to one more, which is cut off.
        number = ops.cast(segment_ids, "int32") - 1
        number = ops.reshape(ops.where(number >= 0, row + number, batch * segments), [-1])
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        flat = ops.reshape(steps, (-1, steps.shape[-1]))
        flat = ops.cast(where(number < batch * segments, flat, 0), dtype)
        pooled = self._reduce(flat, number, batch * segments + 1)[:-1]
        pooled = ops.reshape(pooled, (batch, segments, steps.shape[-1]))
        return ops.cast(pooled, self.compute_dtype)

    def _reduce(self, steps: Tensor, number: Tensor, size: int | Tensor) -> Tensor:
        ones = ops.ones_like(steps[:, :1])
        count = ops.segment_sum(ones, number, size)
        if self.reduction == "mean":
            return ops.segment_sum(steps, number, size) / ops.maximum(count, 1)
        if self.reduction == "max":
            return ops.where(count > 0, ops.segment_max(steps, number, size), 0)
        place = ops.arange(ops.shape(steps)[0], dtype="int32")
        if self.reduction == "last":
            slot = ops.segment_max(place, number, size)
        else:
            slot = -ops.segment_max(-place, number, size)
        slot = ops.where(count[:, 0] > 0, slot, 0)
        return ops.where(count > 0, ops.take(steps, slot, axis=0), 0)

    def compute_mask(self, inputs: list[Tensor], previous_mask: Any = None) -> Tensor:
        """Return the segment mask."""
        return ops.cast(inputs[2], "bool")

    def compute_output_spec(self, inputs: list[Tensor]) -> keras.KerasTensor:
        """Return a tensor [B, S, D]."""
        _check(inputs)
        shape = (*inputs[2].shape, inputs[0].shape[-1])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """Return [B, S, D]."""
        return (*input_shape[2], input_shape[0][-1])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "reduction": self.reduction}


def _check(inputs: Any) -> None:
    given = inputs if isinstance(inputs, list | tuple) else [inputs]
    shapes = [tuple(x.shape) for x in given]
    if [len(shape) for shape in shapes] != [3, 2, 2]:
        raise ValueError(
            "SegmentPooling: the input must be [steps [B, L, D], segment ids [B, L], segment mask "
            f"[B, S]], got {shapes}. Pack makes the latter two."
        )
