"""Steps of packed rows -> a recurrent layer that begins anew in each segment."""

from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor


@keras.saving.register_keras_serializable(package="maskdata")
class SegmentRNN(keras.layers.Layer):
    """Run a recurrent cell over packed rows, from its initial state in each segment.

    Stage: [steps with a mask, segment ids] -> **the outputs of the cell, with the mask**.

    `keras.layers.LSTM` and `GRU` carry the state of one segment into the next: rows that were
    packed together by chance would change each other. Here the state begins anew with each segment.
    The loop is that of `keras.layers.RNN`: there is no cuDNN kernel for it.

    Masking:
        passes the mask of the steps on; masked steps leave the state alone.

    Args:
        cell: A cell such as `keras.layers.LSTMCell(64)`, without dropout.
        go_backwards: Whether to run each segment from its last step to its first. The outputs
            stand at their steps all the same, unlike in `keras.layers.RNN`.
        **kwargs: The arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Shapes:
        in: steps [B, L, D], mask [B, L] or none; segment ids [B, L], 0 for padding
        out: [B, L, units], mask of the steps

    Raises:
        ValueError: When built, for what is no cell, or for a cell with dropout. When called, for
            anything but the two tensors.

    Example:
        >>> h, segment_ids = tf.ones([1, 4, 1]), tf.constant([[1, 1, 2, 2]])
        >>> cell = keras.layers.SimpleRNNCell(1, activation=None, kernel_initializer="ones",
        ...                                   recurrent_initializer="ones")
        >>> md.layers.SegmentRNN(cell)([h, segment_ids]).numpy().ravel().tolist()
        [1.0, 2.0, 1.0, 2.0]
    """

    def __init__(self, cell: Any, *, go_backwards: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(cell, keras.layers.RNN) or not hasattr(cell, "state_size"):
            raise ValueError(
                f"SegmentRNN: cell must be a recurrent cell, got {cell!r}. "
                "Pass a cell, such as keras.layers.LSTMCell(64)."
            )
        dropouts = {name: getattr(cell, name, 0) for name in ("dropout", "recurrent_dropout")}
        if any(dropouts.values()):
            raise ValueError(
                f"SegmentRNN: cell must have no dropout, got {dropouts}. "
                "Put MaskedDropout in front of this layer."
            )
        self.cell = cell
        self.go_backwards = go_backwards
        self.supports_masking = True
        self.rnn = keras.layers.RNN(
            _ResettingCell(cell), return_sequences=True, go_backwards=go_backwards
        )

    def build(self, input_shape: list[Shape]) -> None:
        """Make the weights of the cell."""
        *steps, features = _check(input_shape)[0]
        self.rnn.build((*steps, features + 1))

    def call(self, inputs: list[Tensor], mask: Any = None) -> Tensor:
        """Return the output of the cell at each step."""
        steps, segment_ids = inputs
        before = ops.roll(segment_ids, -1 if self.go_backwards else 1, axis=1)
        slot = ops.arange(ops.shape(segment_ids)[1], dtype="int32")
        first = slot == (slot[-1] if self.go_backwards else 0)
        begins = ops.logical_or(segment_ids != before, first[None])
        begins = ops.cast(begins, steps.dtype)[:, :, None]
        outputs = self.rnn(ops.concatenate([steps, begins], axis=-1), mask=_of_steps(mask))
        return ops.flip(outputs, axis=1) if self.go_backwards else outputs

    def compute_mask(self, inputs: list[Tensor], previous_mask: Any = None) -> Any:
        """Return the mask of the steps."""
        return _of_steps(previous_mask)

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """Return [B, L, units]."""
        steps = _check(input_shape)[0]
        shape: Shape = self.rnn.compute_output_shape((*steps[:-1], (steps[-1] or 0) + 1))
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        cell = keras.saving.serialize_keras_object(self.cell)
        return {**super().get_config(), "cell": cell, "go_backwards": self.go_backwards}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SegmentRNN":
        """Make the layer from its arguments."""
        cell = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**{**config, "cell": cell})


@keras.saving.register_keras_serializable(package="maskdata")
class _ResettingCell(keras.layers.Layer):
    """The cell, beginning anew at steps whose last feature is not 0."""

    def __init__(self, cell: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cell = cell
        self.state_size = cell.state_size
        self.output_size = getattr(cell, "output_size", None)

    def build(self, input_shape: Shape) -> None:
        if not self.cell.built:
            self.cell.build((*input_shape[:-1], (input_shape[-1] or 1) - 1))

    def call(self, inputs: Tensor, states: list[Tensor], **kwargs: Any) -> Any:
        begins = inputs[:, -1:] != 0
        fresh = self.get_initial_state(ops.shape(inputs)[0])
        states = [ops.where(begins, a, b) for a, b in zip(fresh, states, strict=True)]
        return self.cell(inputs[:, :-1], states, **kwargs)

    def get_initial_state(self, batch_size: int | Tensor = None) -> list[Tensor]:
        state = self.cell.get_initial_state(batch_size=batch_size)
        return list(state) if isinstance(state, list | tuple) else [state]


def _check(shapes: Any) -> Any:
    is_pair = isinstance(shapes, list | tuple) and len(shapes) == 2
    if not is_pair or [len(shape) for shape in shapes] != [3, 2]:
        raise ValueError(
            f"SegmentRNN: the input must be [steps [B, L, D], segment ids [B, L]], got {shapes}. "
            "Pack makes the segment ids."
        )
    return shapes


def _of_steps(mask: Any) -> Any:
    return mask[0] if isinstance(mask, list | tuple) else mask
