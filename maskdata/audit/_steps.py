"""The calls of a run -> which entries of each tensor are data, and where their mask was lost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from maskdata.audit._batch import Batch
from maskdata.audit._recorded import Array, Origin, Recorded, Value
from maskdata.audit._run import Run
from maskdata.audit._tensors import leading

Axes = Mapping[Origin, frozenset[int]]  # the axes of a tensor that grow with the padding


@dataclass(frozen=True)
class Steps:
    """What is known of the steps of a tensor.

    Attributes:
        axes: Axis of the tensor -> which steps along it are data [B, L]; empty if its steps do not
            stand on axes of their own.
        lost: After which call (or code between calls) no Keras mask covers the padding any more;
            None if one does, or if none ever did.
    """

    axes: Mapping[int, Array]
    lost: Origin | None = None

    @property
    def data(self) -> Array | None:
        """Which steps are data [B, L], if they stand on axis 1 and no other."""
        return self.axes[1] if set(self.axes) == {1} else None

    def entries(self, shape: tuple[int, ...]) -> Array:
        """Return which entries of the leading axes are data, up to the last axis of steps."""
        up_to = shape[: max(self.axes) + 1]
        found = np.ones(up_to, bool)
        for axis, data in self.axes.items():
            sizes = [1] * len(up_to)
            sizes[0], sizes[axis] = data.shape
            found &= data.reshape(sizes)
        return found


def growing_axes(pairs: Iterable[tuple[Run, Run]]) -> Axes:
    """Return the axes that differ between runs on the same data in other padding."""
    axes: dict[Origin, frozenset[int]] = {}
    for one, other in pairs:
        for origin in one.values.keys() & other.values.keys():
            a, b = one.values[origin].array.shape, other.values[origin].array.shape
            differ = {i for i, sizes in enumerate(zip(a, b, strict=False)) if sizes[0] != sizes[1]}
            differ |= set(range(max(len(a), len(b)))) if len(a) != len(b) else set()
            axes[origin] = axes.get(origin, frozenset()) | differ
    return axes


def follow(run: Run, batch: Batch, axes: Axes | None) -> dict[Origin, Steps]:
    """Follow the steps of the batch through a run.

    A tensor inherits the steps of its inputs on each axis that grows with the padding and is as
    long as theirs; its own Keras mask counts as far as it covers their padding. Where the
    model fixes the number of steps, only the length of an axis tells.
    """
    found = {
        Origin("x", (), i): Steps({1: feature.steps})
        for i, feature in enumerate(batch.features)
        if feature is not None and feature.steps is not None and not feature.is_mask
    }
    lengths = set(batch.steps_by_length())
    if axes is not None:
        lengths = {f.steps.shape[1] for f in batch.given if f.is_fixed and f.steps is not None}
    latest: dict[int, Origin] = {}  # padded length -> the last tensor with so many steps
    for key in run.finished:
        call = run.calls[key]
        for origin in call.inputs:
            has_time = axes is None or 1 in axes.get(origin, ())
            if origin.source == "code" and origin not in found and has_time:
                known = _of_code(run, batch, origin, {n: found[o] for n, o in latest.items()})
                found |= {origin: known} if known is not None else {}
        for origin, before in zip(call.outputs, call.before, strict=True):
            value = run.values[origin]
            grows = {i for i, n in enumerate(value.array.shape) if i and n in lengths}
            if axes is not None:
                grows |= {i for i in axes.get(origin, ()) if i < value.array.ndim}
            sources = [before] if before in found else call.inputs
            inputs = {o: found[o] for o in sources if o is not None and o in found}
            keeps_rank = any(value.array.ndim >= run.values[o].array.ndim > 2 for o in inputs)
            if not inputs and value.mask is None:
                continue
            if not grows and value.mask is None and not (axes is None and keeps_rank):
                continue
            found[origin] = _of_output(origin, value, inputs.values(), grows, _blame(call, inputs))
            if found[origin].data is not None:
                latest[value.array.shape[1]] = origin
        for origin in call.unmasked:
            if origin in found and found[origin].lost is None:
                found[origin] = replace(found[origin], lost=Origin("call", key, 0))
    return found


def _of_output(
    origin: Origin,
    value: Value,
    inputs: Iterable[Steps],
    grows: set[int],
    blame: Origin | None,
) -> Steps:
    known = [data for steps in inputs for data in steps.axes.values()]
    axes: dict[int, Array] = {}
    for axis in grows:
        as_long = [d for d in known if d.shape == (value.array.shape[0], value.array.shape[axis])]
        if axis and as_long:
            axes[axis] = np.all(as_long, axis=0)
    if len(axes) < len(grows):
        axes = {}
    if value.mask is None or value.mask.ndim < 2:
        return Steps(axes, blame)
    own = leading(value.mask)
    if 1 not in axes:
        return Steps({1: own})
    as_long = [data for data in known if data.shape == own.shape]
    if any(not (own & ~data).any() for data in as_long):
        return Steps({**axes, 1: own})
    return Steps({**axes, 1: own & axes[1]}, blame or Origin("call", origin.key, 0))


def _blame(call: Recorded, inputs: Mapping[Origin, Steps]) -> Origin | None:
    earlier = [steps.lost for steps in inputs.values() if steps.lost is not None]
    if earlier:
        return min(earlier, key=lambda origin: origin.key)
    return Origin("call", call.key, 0) if call.has_mask else None


def _of_code(run: Run, batch: Batch, origin: Origin, latest: Mapping[int, Steps]) -> Steps | None:
    """Return the steps of a tensor that somebody's code made between two calls.

    The last tensor with as many steps is taken for the one that it was made of.
    """
    value = run.values[origin]
    if value.mask is not None and value.mask.ndim > 1:
        return Steps({1: leading(value.mask)})
    for length, data in batch.steps_by_length().items():
        if value.array.shape[:2] == data.shape:
            before = latest.get(length)
            was_masked = before is not None and before.lost is None and _had_mask(run, length)
            lost = origin if was_masked else None if before is None else before.lost
            return Steps({1: data}, lost)
    return None


def _had_mask(run: Run, length: int) -> bool:
    return any(v.mask is not None and v.mask.shape[1:2] == (length,) for v in run.values.values())
