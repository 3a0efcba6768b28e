"""Steps with a mask -> the first part of each row, the second, and so on."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor
from maskdata._steps import where
from maskdata.layers._rows import between, gather, offset, span
from maskdata.layers._step_masks import step_mask


@keras.saving.register_keras_serializable(package="maskdata")
class TemporalSplit(keras.layers.Layer):
    """Split each row along time, by its own length.

    Stage: steps with a mask -> **a list of parts, each with its mask**.

    `keras.ops.split(h, 2, axis=1)` splits the padded axis, and drops the mask: where a row
    is cut depends on the padding, and the second half may hold nothing else. Here each row is split
    as if it stood alone, and every valid step is in exactly one part. Masked steps of the
    parts are 0. A row padded on the left stays so.

    Masking:
        uses the mask and makes one for each part. A masked step between valid ones counts as a
        step, and stays masked.

    Args:
        indices_or_sections: As in `keras.ops.split`. A number of parts: nearly equal ones, the
            first ones longer by a step if need be. Or the steps at which new parts start, counted from the
            row's first step, or negative from its end: with `[-1]` the last part is the last step.
        **kwargs: The arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Shapes:
        in: [B, L, ...], mask [B, L]
        out: a list of [B, M, ...], masks [B, M]; M is what a row of L steps has, and at least 1

    Raises:
        ValueError: When built, for a number of parts below 1, and for steps that are not in order,
            the negative ones last. When called, for an input without a mask, or with one of another
            shape.

    Example:
        >>> h = tf.constant([[[1], [2], [3], [4]], [[5], [6], [0], [0]]])
        >>> h = md.layers.AttachMask()([h, tf.sequence_mask([4, 2])])
        >>> for part in md.layers.TemporalSplit(2)(h):
        ...     print(part[..., 0].numpy().tolist())
        [[1, 2], [5, 0]]
        [[3, 4], [6, 0]]

    Source: "TemporalSplit" of the Keras guide "Understanding masking & padding"
    """

    def __init__(self, indices_or_sections: int | Sequence[int] = 2, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # mixed precision must not change the tensor
        self.supports_masking = True
        if isinstance(indices_or_sections, int):
            legal = indices_or_sections >= 1
        else:
            indices_or_sections = list(indices_or_sections)
            # From the start upwards, then from the end upwards.
            order = sorted(indices_or_sections, key=lambda index: (index < 0, index))
            legal = indices_or_sections == order
        if not legal:
            raise ValueError(
                "TemporalSplit: indices_or_sections must be a number of parts or steps in order, "
                f"negative ones last, got {indices_or_sections!r}. For example 2, or [3, -1]."
            )
        self.indices_or_sections = indices_or_sections

    def call(self, inputs: Tensor, mask: Tensor = None) -> list[Tensor]:
        """Return the parts, 0 at masked steps."""
        parts = _parts(self.indices_or_sections, step_mask(self, inputs, mask))
        return [where(valid, gather(inputs, index), 0) for index, valid in parts]

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> list[Tensor] | None:
        """Return the mask of each part."""
        if previous_mask is None:
            return None
        return _masks(self.indices_or_sections, previous_mask)

    def compute_output_spec(self, inputs: Tensor, mask: Tensor = None) -> list[keras.KerasTensor]:
        """Return the parts' shapes, and the tensor's own dtype."""
        shapes = self.compute_output_shape(inputs.shape)
        return [keras.KerasTensor(shape, dtype=inputs.dtype) for shape in shapes]

    def compute_output_shape(self, input_shape: Shape) -> list[Shape]:
        """Return [B, M, ...] for each part."""
        batch, length, *features = input_shape
        return [(batch, slots, *features) for slots in _slots(self.indices_or_sections, length)]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "indices_or_sections": self.indices_or_sections}


@keras.saving.register_keras_serializable(package="maskdata")
class SplitMask(keras.layers.Layer):
    """A mask -> the masks of the parts, as a node of a functional model."""

    def __init__(self, indices_or_sections: int | list[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.indices_or_sections = indices_or_sections

    def call(self, mask: Tensor) -> list[Tensor]:
        """Return the mask of each part."""
        return _masks(self.indices_or_sections, mask)

    def compute_output_spec(self, mask: Tensor) -> list[keras.KerasTensor]:
        """Return one bool per slot, for each part."""
        slots = _slots(self.indices_or_sections, mask.shape[1])
        return [keras.KerasTensor((mask.shape[0], each), dtype="bool") for each in slots]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "indices_or_sections": self.indices_or_sections}


def _bounds(indices_or_sections: int | list[int], steps: Any) -> list[Any]:
    """Return where the parts of rows of so many steps begin, and where the last one ends."""
    least, most = (min, max) if isinstance(steps, int) else (ops.minimum, ops.maximum)
    if isinstance(indices_or_sections, int):
        size, longer = steps // indices_or_sections, steps % indices_or_sections
        starts = [part * size + least(longer, part) for part in range(indices_or_sections)]
    else:
        starts = [0]
        for index in indices_or_sections:
            start = steps + index if index < 0 else least(steps, index)
            starts.append(most(start, starts[-1]))
    return [*starts, steps]


def _slots(indices_or_sections: int | list[int], length: Any) -> list[Any]:
    """Return the lengths of the parts: what a row of `length` steps has, at least 1."""
    if length is None:
        return [None for _ in _bounds(indices_or_sections, 0)[1:]]
    most = max if isinstance(length, int) else ops.maximum
    return [most(b - a, 1) for a, b in pairwise(_bounds(indices_or_sections, length))]


def _parts(indices_or_sections: int | list[int], mask: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield for each part which slots of the input fill its slots, and its mask."""
    first, steps = span(mask)
    slots = _slots(indices_or_sections, ops.shape(mask)[1])
    bounds = pairwise(_bounds(indices_or_sections, steps))
    for (start, end), slots_of_part in zip(bounds, slots, strict=True):
        begin = offset(first, end - start, slots_of_part)
        index = (first + start - begin)[:, None] + ops.arange(slots_of_part, dtype="int32")
        valid = ops.cast(gather(ops.cast(mask, "int8"), index), "bool")
        inside = between(begin, begin + end - start, slots_of_part)
        yield index, ops.logical_and(valid, inside)


def _masks(indices_or_sections: int | list[int], mask: Tensor) -> list[Tensor]:
    """Return the masks of the parts, for any tensor and for those of functional models."""
    if keras.utils.is_keras_tensor(mask):
        return [*SplitMask(indices_or_sections)(mask)]
    return [valid for _, valid in _parts(indices_or_sections, ops.cast(mask, "bool"))]
