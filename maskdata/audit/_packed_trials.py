"""A packed batch and its run -> trials: other rows in the segments nearby, another order."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from maskdata.audit import _packed_variants
from maskdata.audit._batch import Batch
from maskdata.audit._compare import SMALL, Difference, Slots, change
from maskdata.audit._experiment import Experiment, Trial
from maskdata.audit._recorded import Array, Origin, Plan
from maskdata.audit._run import Run
from maskdata.audit._steps import Axes, Steps, follow
from maskdata.data._names import SEGMENT_MASK

_ROUNDING = 1e-5  # relative to the largest entry


def has_neighbours(batch: Batch) -> bool:
    """Tell whether a packed row holds an odd segment and an even one."""
    rows = [row[row > 0] for ids in batch.segment_ids().values() for row in ids]
    return any(np.diff(row % 2).any() for row in rows)


def among_others(experiment: Experiment, batch: Batch, base: Run, axes: Axes | None) -> list[Trial]:
    """Put other rows into the odd segments, then into the even ones; the others must not change."""
    known = follow(base, batch, axes)
    trials = []
    for which, remainder in (("odd", 1), ("even", 0)):
        untouched = {
            name: (numbers == 0) | (numbers % 2 != remainder)
            for name, numbers in _packed_variants.segment_numbers(batch).items()
        }
        slots: dict[Origin, Slots] = {}
        given: dict[Origin, Any] = {}
        for origin, steps in known.items():
            kept = _by_axis(batch, steps, untouched, lambda masks: np.all(masks, axis=0))
            if kept is not None:
                inside = Steps({axis: data & kept[axis] for axis, data in steps.axes.items()})
                shape = base.values[origin].array.shape
                entries = inside.entries(shape)
                slots[origin] = entries, entries
                if origin.source in ("call", "code"):  # padding too: it is not what is tried here
                    given[origin] = Steps(kept).entries(shape)
        other = _packed_variants.others_in(batch, remainder)
        what = f"the batch with other rows in its {which} segments"
        runs = base, experiment.run(other, Plan())
        trial = Trial(what, (batch, other), runs, "mixes segments", slots=slots, given=given)
        trial.compare(axes)
        trials.append(trial)
    _compare_the_rest(experiment, trials)
    return trials


def _compare_the_rest(experiment: Experiment, trials: list[Trial]) -> None:
    """Compare the tensors of which it is not known where each segment is.

    An entry that changes both times depends on segments of both kinds. What mixes segments on its
    own is found among right data; what only comes after it is then given right ones too.
    """
    base = trials[0].runs[0]
    changed = _changed_in_all(trials, [trial.runs[1] for trial in trials])
    if not changed:
        return
    of_outputs = {o: changed[o] for o in base.calls[()].outputs if o in changed}
    mixed = _changed_in_all(trials, _forced(experiment, trials))
    for trial in trials:
        trial.given = {**trial.given, **dict.fromkeys(mixed, ...)}
    own = _changed_in_all(trials, _forced(experiment, trials)) if mixed else {}
    for trial in trials:
        trial.slots = {**(trial.slots or {}), **{o: (mask, mask) for o, mask in own.items()}}
        trial.compare(trial.axes)
        for origin, entries in of_outputs.items():
            arrays = (run.values[origin].array[entries] for run in trial.runs)
            trial.found.setdefault(origin, Difference(change(*arrays), None))


def _forced(experiment: Experiment, trials: list[Trial]) -> list[Run]:
    return [
        experiment.run(trial.batches[1], trial.plan(trial.values_of(trial.runs[0], trial.found)))
        for trial in trials
    ]


def in_another_order(
    experiment: Experiment, batch: Batch, base: Run, axes: Axes | None
) -> list[Trial]:
    """Reverse the segments of each packed row; all of them must stay what they are."""
    other, moved = _packed_variants.reversed_order(batch)
    run = experiment.run(other, Plan())
    slots: dict[Origin, Slots] = {}
    for origin, known in follow(base, batch, axes).items():
        came_from = _by_axis(batch, known, moved, _if_alike)
        if came_from is None:
            continue
        entries = known.entries(base.values[origin].array.shape)
        there = np.nonzero(entries)
        here = tuple(
            came_from[axis][there[0], index] if axis in came_from else index
            for axis, index in enumerate(there)
        )
        both = entries[here]
        slots[origin] = tuple(i[both] for i in here), tuple(i[both] for i in there)
    what = "the batch with the segments of each packed row in reverse order"
    trial = Trial(what, (batch, other), (base, run), "depends on its place", slots=slots)
    trial.compare(axes)
    return [trial]


def _by_axis(
    batch: Batch,
    steps: Steps,
    by_feature: Mapping[str, Array],
    merge: Callable[[list[Array]], Array | None],
) -> dict[int, Array] | None:
    """Return what is known of the slots of each axis; None if of some axis nothing is.

    Features of one length may be packed in different ways: what is known of them is merged.
    """
    found = {}
    arrays = {feature.name: feature.array for feature in batch.given}
    for axis, data in steps.axes.items():
        as_long = [name for name in batch.segment_ids() if arrays[name].shape == data.shape]
        if SEGMENT_MASK in by_feature and np.array_equal(arrays[SEGMENT_MASK] != 0, data):
            as_long = [SEGMENT_MASK]
        merged = merge([by_feature[name] for name in as_long]) if as_long else None
        if merged is None:
            return None
        found[axis] = merged
    return found or None


def _if_alike(slots: list[Array]) -> Array | None:
    return slots[0] if all(np.array_equal(slots[0], other) for other in slots) else None


def _changed_in_all(trials: list[Trial], runs: list[Run]) -> dict[Origin, Array]:
    """Return the entries of tensors, of those not compared yet, that are other ones in each run."""
    found: dict[Origin, Array] = {}
    for origin, value in trials[0].runs[0].values.items():
        if origin.source not in ("call", "code") or origin in (trials[0].slots or {}):
            continue
        arrays = [run.values[origin].array for run in runs if origin in run.values]
        is_there = len(arrays) == len(runs) and {a.shape for a in arrays} == {value.array.shape}
        if is_there and value.array.ndim:
            entries = np.all([_changed(value.array, array) for array in arrays], axis=0)
            found |= {origin: entries} if entries.any() else {}
    return found


def _changed(a: Array, b: Array) -> Array:
    if a.dtype.kind in "bOSU":
        return np.asarray(a != b)
    a, b = a.astype("float64"), b.astype("float64")
    largest = np.abs(np.concatenate([a, b], axis=None))
    with np.errstate(invalid="ignore"):
        close = np.abs(a - b) <= _ROUNDING * largest[np.isfinite(largest)].max(initial=SMALL)
    return np.asarray(~(close | (a == b) | (np.isnan(a) & np.isnan(b))))
