"""Trials -> the calls that read padding, and what lost the masks that they needed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from maskdata.audit._compare import Difference, change, differences
from maskdata.audit._experiment import Experiment, Trial
from maskdata.audit._recorded import Array, Origin
from maskdata.audit._run import Run


@dataclass(frozen=True)
class Fault:
    """A tensor whose data depend on padding although those of its inputs do not.

    Attributes:
        origin: The tensor.
        change: The relative change of its data.
        what: What was done to the padding.
        verdict: What its call does.
        needs_mask: Whether its call is right as soon as the right masks are attached.
        lost: What lost the mask that its call needs, if something did.
        training: Whether it shows in training only.
        matters: Whether an output of the model, or its loss, changes because of it.
    """

    origin: Origin
    change: float
    what: str
    verdict: str
    needs_mask: bool
    lost: Origin | None
    training: bool
    matters: bool


@dataclass(frozen=True)
class Tolerance:
    """How much of a change is rounding."""

    relative: float

    def of(self, array: Array) -> float:
        """Return the tolerance for numbers of this dtype."""
        if array.dtype.itemsize == 2 and array.dtype.kind in "fV":
            return max(self.relative, 2.0**-7 if array.dtype == np.float16 else 2.0**-5)
        return self.relative


def locate(
    experiment: Experiment, trials: Iterable[Trial], tolerance: Tolerance
) -> tuple[dict[Origin, Fault], set[Origin]]:
    """Find every fault, each on its own, and the tensors that are random in any case.

    The second batch of a trial is run once more, and whatever a call gives is overwritten where data
    are by what it gave for the first: so every call gets right data in other padding, and those
    that still give other data read padding. If such a call is right with the right masks
    attached to its inputs, it is the victim of what lost them. Masks do not keep segments apart.
    """
    faults: dict[Origin, Fault] = {}
    random: set[Origin] | None = None
    for trial in trials:
        if not _beyond(trial.found, trial.runs[1], tolerance):
            continue
        forced, found = _forced(experiment, trial, tolerance)
        known = {origin for origin, fault in faults.items() if fault.matters}
        guilty = _beyond(found, forced, tolerance) - known
        if not guilty:
            continue
        random = _random(experiment, trial) if random is None else random
        is_packed = trial.slots is not None
        own = None if is_packed else _guilty_with_masks(experiment, trial, tolerance)
        for origin in guilty - random:
            lost, has_steps = (None, True) if is_packed else _lost(trial, origin)
            fault = Fault(
                origin,
                found[origin].change,
                trial.what,
                trial.verdict,
                needs_mask=(lost is not None and not has_steps)
                or (lost is not None if own is None else origin not in own),
                lost=lost,
                training=trial.training,
                matters=_matters(experiment, trial, forced, found[origin], origin, tolerance),
            )
            before = faults.get(origin, fault)
            worse = max(before, fault, key=lambda f: (f.matters, f.change))
            is_same = before.verdict == fault.verdict
            is_victim = before.needs_mask and fault.needs_mask if is_same else worse.needs_mask
            faults[origin] = replace(worse, needs_mask=is_victim)
    return faults, random or set()


def guilty_of(experiment: Experiment, trial: Trial, tolerance: Tolerance) -> set[Origin]:
    """Return the tensors of one trial that differ although their inputs do not."""
    forced, found = _forced(experiment, trial, tolerance)
    return _beyond(found, forced, tolerance)


def _forced(
    experiment: Experiment, trial: Trial, tolerance: Tolerance
) -> tuple[Run, dict[Origin, Difference]]:
    """Run the second batch with right data after every call, and compare.

    Weights over two axes of steps (attention) that are wrong are wrong for padding too, where
    they ought to be 0: what then sums with them is not to blame.
    """
    one = trial.runs[0]
    forced = experiment.run(trial.batches[1], trial.plan(trial.values_of(one, trial.found)))
    found = trial.differences(one, forced)
    weights = {
        origin
        for origin in _beyond(found, forced, tolerance)
        if trial.found[origin].slots is not None
        and all(origin in f.steps and len(f.steps[origin].axes) > 1 for f in trial.followed)
    }
    if not weights:
        return forced, found
    zeroed: tuple[dict[Origin, Any], dict[Origin, Any]] = {}, {}
    for origin in weights:
        slots = trial.found[origin].slots or (..., ...)
        data = one.values[origin].array[slots[0]]
        for run, slot, into in zip(trial.runs, slots, zeroed, strict=True):
            array = np.zeros_like(run.values[origin].array)
            array[slot] = data
            into[origin] = ..., array
    one = experiment.run(trial.batches[0], trial.base(zeroed[0]))
    again = experiment.run(
        trial.batches[1], trial.plan({**trial.values_of(one, trial.found), **zeroed[1]})
    )
    return again, {**trial.differences(one, again), **{origin: found[origin] for origin in weights}}


def _beyond(found: Mapping[Origin, Difference], run: Run, tolerance: Tolerance) -> set[Origin]:
    """Return the tensors that changed beyond rounding, and losses without those around them."""
    changed = {
        origin
        for origin, difference in found.items()
        if difference.change > tolerance.of(run.values[origin].array)
    }
    losses = {origin.key for origin in changed if origin.source == "loss"}
    outer = {key[:length] for key in losses for length in range(len(key))}
    return {origin for origin in changed if origin.source != "loss" or origin.key not in outer}


def _random(experiment: Experiment, trial: Trial) -> set[Origin]:
    """Return the tensors that differ between two runs on one batch: noise, not padding."""
    one, batch = trial.runs[0], trial.batches[0]
    same = {o: (..., v.array) for o, v in one.values.items() if o.source in ("call", "code")}
    again = experiment.run(batch, trial.base(same), other_noise=True)
    return {
        origin
        for origin, value in one.values.items()
        if origin in again.values
        and value.array.dtype.kind not in "OSU"
        and not np.array_equal(
            value.array.astype("float64"),
            again.values[origin].array.astype("float64"),
            equal_nan=True,
        )
    }


def _guilty_with_masks(
    experiment: Experiment, trial: Trial, tolerance: Tolerance
) -> set[Origin] | None:
    """Return the tensors that change even if all that has steps carries its mask.

    None if the model does not run like that.
    """
    one, other = (
        {origin: steps.data for origin, steps in followed.steps.items() if steps.data is not None}
        for followed in trial.followed
    )
    try:
        first = experiment.run(trial.batches[0], replace(trial.base(), masks=one))
        plan = trial.plan(trial.values_of(first, trial.found))
        second = experiment.run(trial.batches[1], replace(plan, masks=other))
    except Exception:  # a layer of somebody's own that does not take masks
        return None
    return _beyond(trial.differences(first, second), second, tolerance)


def _matters(
    experiment: Experiment,
    trial: Trial,
    forced: Run,
    difference: Difference,
    origin: Origin,
    tolerance: Tolerance,
) -> bool:
    """Tell whether the outputs change if nothing but these wrong data come in."""
    if origin.source == "loss" or difference.slots is None or not origin.key:
        return True
    here, there = difference.slots
    wrong = {origin: (here, forced.values[origin].array[there])}
    run = experiment.run(trial.batches[0], trial.base(wrong))
    first = trial.followed[0]
    changes = differences(first, replace(first, run=run), trial.axes, None)

    def changed(o: Origin) -> bool:
        arrays = trial.runs[0].values[o].array, run.values[o].array
        by = changes[o].change if o in changes else change(*arrays)
        return by > tolerance.of(arrays[1])

    return any(map(changed, run.calls[()].outputs))


def _lost(trial: Trial, origin: Origin) -> tuple[Origin | None, bool]:
    """Return what lost the mask of a call's inputs, and whether their steps are still known."""
    known = [trial.followed[1].steps.get(o) for o in trial.runs[1].calls[origin.key].inputs]
    lost = {
        steps.lost: bool(steps.axes)
        for steps in known
        if steps is not None and steps.lost is not None and steps.lost.key <= origin.key
    }
    first = min(lost, key=lambda o: o.key, default=None)
    return first, first is None or lost[first]
