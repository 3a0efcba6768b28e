"""A run, its faults, and what its layers do with masks -> a verdict for each call."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from maskdata.audit._batch import Batch
from maskdata.audit._experiment import Experiment
from maskdata.audit._locate import Fault
from maskdata.audit._recorded import Key, Origin, Plan, Recorded
from maskdata.audit._run import Run
from maskdata.audit._steps import Steps
from maskdata.audit.report import Call
from maskdata.layers import DropMask


@dataclass(frozen=True)
class Habits:
    """What calls do with the masks that come in.

    Attributes:
        using: Calls that give other values without them.
        replacing: Calls that give the same mask without them.
    """

    using: set[Key] = field(default_factory=set)
    replacing: set[Key] = field(default_factory=set)


def habits(experiment: Experiment, batch: Batch, run: Run) -> Habits:
    """Run the model once more, with no mask for any layer, but everything else as it was."""
    values = {o: value for o, value in run.values.items() if o.source in ("call", "code")}
    plan = Plan(
        overwritten={origin: (..., value.array) for origin, value in values.items()},
        masks={origin: value.mask for origin, value in values.items() if value.mask is not None},
        without_masks=True,
    )
    bare = experiment.run(batch, plan)
    found = Habits()
    for key, call in run.calls.items():
        if not key or key not in bare.calls or _contains_others(run, key):
            continue
        pairs = [(run.values[o], bare.values[o]) for o in call.outputs if o in bare.values]
        needs_one = bool(bare.calls[key].failed)
        if needs_one or any(not _is_same(a.array, b.array) for a, b in pairs):
            found.using.add(key)
        masks = [(a.mask, b.mask) for a, b in pairs if a.mask is not None]
        if call.has_mask and not needs_one and masks and all(_is_same(a, b) for a, b in masks):
            found.replacing.add(key)
    return found


def verdicts(
    run: Run,
    steps: Mapping[Origin, Steps],
    faults: Mapping[Origin, Fault],
    habits: Habits,
    failed: Mapping[Key, str],
) -> dict[Origin, Call]:
    """Return a row of the report for each call, by its origin, in order."""
    lost = [s.lost for s in steps.values()] + [fault.lost for fault in faults.values()]
    of_code = {origin for origin in (*lost, *faults) if origin is not None}
    places = [Origin("call", key, 0) for key, call in run.calls.items() if key]
    places = [o for o in places if not _is_plumbing(run, o.key) or o.key in _keys(faults)]
    places += [origin for origin in of_code if origin.source == "code"]
    found: dict[Origin, Call] = {}
    places = sorted(places, key=lambda o: (o.key, o.source == "call"))
    places += [Origin("call", (), 0)] if () in _keys(faults) else []
    for origin in places:
        call, number = run.calls[origin.key], len(found) + 1
        fault = _worst(origin, faults)
        change = 0.0 if fault is None else fault.change
        if origin.source == "code" or not origin.key:
            where = "before" if origin.key else "of"
            found[origin] = Call(
                number,
                f"code {where} {call.target.name}",
                "no Keras call",
                max(len(origin.key) - 1, 0),
                mask_in=False,
                mask_out=origin.source == "code" and run.values[origin].mask is not None,
                verdict="drops silently" if fault is None else fault.verdict,
                change=change,
            )
            continue
        found[origin] = Call(
            number,
            _name(call),
            type(call.target.op).__name__ if call.target.is_layer else "operation",
            len(origin.key) - 1,
            mask_in=call.has_mask,
            mask_out=any(run.values[o].mask is not None for o in call.outputs),
            verdict="fails with a mask"
            if origin.key in failed
            else _verdict(run, call, steps, habits)
            if fault is None
            else fault.verdict,
            change=change,
        )
    return found


def _verdict(run: Run, call: Recorded, steps: Mapping[Origin, Steps], habits: Habits) -> str:
    is_masked = any(run.values[o].mask is not None for o in call.outputs)
    loses = any(o in steps and steps[o].lost == Origin("call", call.key, 0) for o in call.outputs)
    has_steps = any(o in steps for o in call.outputs)
    if isinstance(call.target.op, DropMask) and call.has_mask:
        return "drops by design"
    if call.unmasked or (call.has_mask and is_masked and loses):
        return "drops silently"
    if not call.has_mask:
        uses = call.key in habits.using
        return "makes" if is_masked else "uses" if uses else "no mask"
    if is_masked and call.key in habits.replacing:
        return "replaces"
    if not is_masked and has_steps:
        return "drops with a warning" if call.warned else "drops silently"
    if call.key in habits.using:
        return "uses"
    return "passes on" if is_masked else "drops by design"


def _worst(origin: Origin, faults: Mapping[Origin, Fault]) -> Fault | None:
    if origin.source == "code":
        return faults.get(origin)
    own = [f for o, f in faults.items() if o.key == origin.key and o.source != "code"]
    return max(own, key=lambda fault: fault.change, default=None)


def _keys(faults: Mapping[Origin, Fault]) -> set[Key]:
    return {origin.key for origin in faults}


def _is_plumbing(run: Run, key: Key) -> bool:
    """Tell whether a call only computes masks, as nodes of functional models do."""
    call = run.calls[key]
    is_bool = all(run.values[o].array.dtype == bool for o in call.outputs)
    return is_bool and not call.has_mask and not call.target.is_written


def _contains_others(run: Run, key: Key) -> bool:
    return (*key, 0) in run.calls


def _name(call: Recorded) -> str:
    return f"{call.target.name} ({call.place})" if call.place else str(call.target.name)


def _is_same(a: object, b: object) -> bool:
    if a is None or b is None:
        return a is b
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and a.tobytes() == b.tobytes()
