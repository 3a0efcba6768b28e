"""A mask [B, L] -> where in the batch each row lies, and its steps moved to other slots."""

from keras import ops

from maskdata._masks import Tensor


def span(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slot of each row's first valid step, and the steps from there to its last.

    A row without a valid step starts behind the last slot and has 0 steps.
    """
    length = ops.shape(mask)[1]
    slot = ops.arange(length, dtype="int32")
    first = ops.min(ops.where(mask, slot, length), axis=1, initial=length)
    end = ops.max(ops.where(mask, slot + 1, 0), axis=1, initial=0)
    return first, ops.maximum(end - first, 0)


def offset(first: Tensor, steps: Tensor, slots: int | Tensor) -> Tensor:
    """Return the slot, of so many, where `steps` steps shall start: on the side of their row.

    Rows padded on the right start at slot 0, rows padded on the left end at the last slot.
    """
    return ops.minimum(first, slots - steps)


def between(start: Tensor, end: Tensor, slots: int | Tensor) -> Tensor:
    """Return the mask [B, slots] of the slots from `start` up to `end`, both [B]."""
    slot = ops.arange(slots, dtype="int32")
    return ops.logical_and(slot >= start[:, None], slot < end[:, None])


def gather(inputs: Tensor, index: Tensor) -> Tensor:
    """Return the steps [B, M, ...] at `index` [B, M]; zeros at an index outside of [0, L)."""
    batch, length = ops.shape(inputs)[:2]
    # One more step, of zeros, in front of each row: that is what lies outside of it.
    padding = [[0, 0], [1, 0]] + [[0, 0]] * (len(inputs.shape) - 2)
    steps = ops.reshape(ops.pad(inputs, padding), (-1, *inputs.shape[2:]))
    inside = ops.logical_and(index >= 0, index < length)
    row = ops.arange(batch, dtype="int32")[:, None] * (length + 1)
    return ops.take(steps, row + ops.where(inside, index + 1, 0), axis=0)
