"""Steps [B, L, D] and a mask -> the windows that each row has when it stands alone.

Keras aligns the windows of a strided convolution or pooling with the padded axis, so that one more
padded step moves them all. Here they are aligned with the row: from its first valid step to its
last, wherever in the batch it lies.
"""

import dataclasses
from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor
from maskdata.layers._rows import between, gather, offset, span


@dataclasses.dataclass(frozen=True)
class Windows:
    """How windows slide: from one to the next in `stride` steps, each `size` steps from end to end."""

    size: int
    stride: int
    padding: str

    @property
    def keep_steps(self) -> bool:
        """Whether each step of the input has one window, at the same place."""
        return self.stride == 1 and self.padding != "valid"

    def count(self, steps: Any) -> Any:
        """Return how many windows this many steps have; not above 0 means none."""
        return (steps - (self.size if self.padding == "valid" else 1)) // self.stride + 1

    def slots(self, length: Any) -> Any:
        """Return the length of the output; at least one slot, where Keras refuses short inputs."""
        least = 0 if self.keep_steps else 1
        count = self.count(length)
        return max(count, least) if isinstance(length, int) else ops.maximum(count, least)

    def output_length(self, length: int | None) -> int | None:
        """Return the length of the output as far as it is known."""
        return None if length is None else self.slots(length)


class RowWindows:
    """The windows of the rows of one batch."""

    def __init__(self, windows: Windows, mask: Tensor) -> None:
        size, stride = windows.size, windows.stride
        self._windows, self._steps = windows, mask
        self._length = ops.shape(mask)[1]
        self._slots = windows.slots(self._length)
        first, steps = span(mask)
        self._count = ops.maximum(windows.count(steps), 0)
        # With stride 1 each window stays where its step is.
        self._offset = offset(-(-first // stride), self._count, self._slots)
        if windows.padding == "same":
            before = ops.maximum((self._count - 1) * stride + size - steps, 0) // 2
        else:
            before = size - 1 if windows.padding == "causal" else 0
        self._start = first - before - self._offset * stride

    @property
    def mask(self) -> Tensor:
        """Which slots of the output hold a window of the row, [B, slots]."""
        if self._windows.keep_steps:
            return self._steps
        return between(self._offset, self._offset + self._count, self._slots)

    def lay_out(self, inputs: Tensor) -> Tensor:
        """Return the steps such that slot k's window starts at step k * stride; zeros around them."""
        size, stride = self._windows.size, self._windows.stride
        total = (self._slots - 1) * stride + size
        if stride > 1:
            slot = ops.arange(total, dtype="int32")
            return gather(inputs, self._start[:, None] + slot)
        # All rows start at the same slot.
        before = {"valid": 0, "same": (size - 1) // 2, "causal": size - 1}[self._windows.padding]
        return ops.pad(inputs, [[0, 0], [before, total - before - self._length], [0, 0]])


def window_mask(windows: Windows, mask: Tensor | None) -> Tensor | None:
    """Return the mask of the windows, for any tensor and for those of functional models."""
    if mask is None or windows.keep_steps:
        return mask
    if keras.utils.is_keras_tensor(mask):
        return WindowMask(**dataclasses.asdict(windows))(mask)
    return RowWindows(windows, ops.cast(mask, "bool")).mask


@keras.saving.register_keras_serializable(package="maskdata")
class WindowMask(keras.layers.Layer):
    """A mask of steps -> the mask of their windows, as a node of a functional model."""

    def __init__(self, size: int, stride: int, padding: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._windows = Windows(size, stride, padding)

    def call(self, mask: Tensor) -> Tensor:
        """Return which slots of the output hold a window."""
        return window_mask(self._windows, mask)

    def compute_output_spec(self, mask: Tensor) -> keras.KerasTensor:
        """Return one bool per slot."""
        length = self._windows.output_length(mask.shape[1])
        return keras.KerasTensor((mask.shape[0], length), dtype="bool")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), **dataclasses.asdict(self._windows)}


def output_shape(windows: Windows, input_shape: Shape, features: int | None) -> Shape:
    """Return the shape of one value per window and feature."""
    return input_shape[0], windows.output_length(input_shape[1]), features
