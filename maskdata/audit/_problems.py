"""Faults and verdicts -> what is wrong, and what mends it."""

from collections.abc import Mapping

import keras
import numpy as np

from maskdata.audit import _advice, _packed_advice
from maskdata.audit._locate import Fault
from maskdata.audit._recorded import Key, Origin, Recorded
from maskdata.audit._run import Run
from maskdata.audit._steps import Steps
from maskdata.audit._verdicts import Habits
from maskdata.audit.report import Call, Problem

_PACKED = {
    "mixes segments": ("its values for the other segments", _packed_advice.for_mixer),
    "depends on its place": ("its values for the same segments", _packed_advice.for_place),
}


def problems(
    run: Run,
    steps: Mapping[Origin, Steps],
    faults: Mapping[Origin, Fault],
    habits: Habits,
    calls: Mapping[Origin, Call],
    failed: Mapping[Key, str],
) -> list[Problem]:
    """Return what is wrong with single calls, in their order."""
    found: dict[Origin, Problem] = {}
    for origin, call in calls.items():
        recorded = run.calls[origin.key]
        if origin.source == "code" or not origin.key:
            continue
        hidden = _hidden(run, recorded, steps, habits)
        if origin.key in failed:
            what = f"fails with a mask: {failed[origin.key]}"
            found[origin] = Problem(call, call.name, what, 0.0, _advice.for_reader(recorded.target))
        elif hidden:
            what = f"hides {hidden} steps that the batch calls data: its mask comes from values."
            found[origin] = Problem(call, call.name, what, 1.0, _advice.for_hider())
        elif _makes_infinite(run, recorded, steps) and not _finite_outputs(run):
            what = "makes NaN or infinity of finite numbers."
            found[origin] = Problem(
                call, call.name, what, np.inf, _advice.for_reader(recorded.target)
            )
    for fault in sorted(faults.values(), key=lambda f: f.origin.key):
        if fault.matters:
            origin, problem = _of_fault(run, fault, calls)
            is_own = not fault.needs_mask and origin.key not in failed
            if origin not in found or is_own:
                found[origin] = problem
    return [found[origin] for origin in calls if origin in found]


def _of_fault(run: Run, fault: Fault, calls: Mapping[Origin, Call]) -> tuple[Origin, Problem]:
    origin = fault.origin if fault.origin.source == "code" else Origin("call", fault.origin.key, 0)
    call, target = calls[origin], run.calls[origin.key].target
    when = f"between the batch and {fault.what}" + (", in training" if fault.training else "")
    changes = f"change by {fault.change:.2g} {when}"
    if fault.origin.source == "loss":
        what = f"adds a loss that depends on padding: the losses {changes}."
        advice = "Weigh each step of that loss by its mask, or leave it out."
        return origin, Problem(call, call.name, what, fault.change, advice)
    if fault.verdict in _PACKED:
        where, mends = _PACKED[fault.verdict]
        what = f"{fault.verdict}: {where} {changes}."
        is_code = origin.source == "code" or not origin.key
        advice = _advice.for_code() if is_code else mends(target)
        return origin, Problem(call, call.name, what, fault.change, advice)
    if not fault.needs_mask:
        what = f"reads padding: its values {changes}."
        is_code = origin.source == "code" or not origin.key
        advice = _advice.for_code() if is_code else _advice.for_reader(target)
        return origin, Problem(call, call.name, what, fault.change, advice)
    if fault.lost is None or _by_layer(run, fault.lost, fault.origin.key) not in calls:
        what = f"reads padding: no mask reaches it, and its values {changes}."
        return origin, Problem(call, call.name, what, fault.change, _advice.for_maskless(target))
    lost = _by_layer(run, fault.lost, fault.origin.key)
    loser = calls[lost]
    how = _how(run.calls[lost.key], loser)
    what = f"{how}; then {call.number} {call.name} reads padding: its values {changes}."
    loser_target = run.calls[lost.key].target
    advice = _advice.for_code() if lost.source == "code" else _advice.for_loser(loser_target)
    return lost, Problem(loser, loser.name, what, fault.change, advice)


def problem_of_loss(run: Run, lost: Origin, change: float, calls: Mapping[Origin, Call]) -> Problem:
    """Return the problem of a call that lost the mask of the outputs, which the loss needs."""
    lost = _by_layer(run, lost, victim=())
    counts = f"the loss then counts padding, and changes by {change:.2g}."
    if lost not in calls:  # it was lost in another run only
        return Problem(None, "outputs", f"carry no mask; {counts}", change, _advice.for_outputs())
    loser, target = calls[lost], run.calls[lost.key].target
    what = f"{_how(run.calls[lost.key], loser)}; {counts}"
    advice = _advice.for_code() if lost.source == "code" else _advice.for_loser(target)
    return Problem(loser, loser.name, what, change, f"{advice} Or give the mask as sample_weight.")


def _how(loser: Recorded, call: Call) -> str:
    """Return how a call loses the mask."""
    return "takes the mask off its input" if loser.unmasked else call.verdict


def _by_layer(run: Run, lost: Origin, victim: Key) -> Origin:
    """Return the layer that ought to have kept the mask that was lost inside of it."""
    for length in range(1, len(lost.key)):
        outer = lost.key[:length]
        is_model = isinstance(run.calls[outer].target.op, keras.Model)
        if not is_model and victim[:length] != outer:
            return Origin("call", outer, 0)
    return lost


def _hidden(run: Run, call: Recorded, steps: Mapping[Origin, Steps], habits: Habits) -> int:
    """Return how many steps are hidden by a mask that a call makes without looking at another."""
    if call.has_mask and call.key not in habits.replacing:
        return 0
    data = [steps[o].data for o in call.inputs if o in steps]
    most = 0
    for origin in call.outputs:
        own = run.values[origin].mask
        for of_input in data:
            if own is not None and of_input is not None and own.shape == of_input.shape:
                most = max(most, int((of_input & ~own).sum()))
    return most


def _makes_infinite(run: Run, call: Recorded, steps: Mapping[Origin, Steps]) -> bool:
    def is_finite(origin: Origin) -> bool:
        array, known = run.values[origin].array, steps.get(origin)
        if array.dtype.kind not in "fV":
            return True
        if known is not None and known.data is not None:
            array = array[known.data]
        return bool(np.isfinite(array.astype("float64")).all())

    return all(map(is_finite, call.inputs)) and not all(map(is_finite, call.outputs))


def _finite_outputs(run: Run) -> bool:
    return all(
        np.isfinite(run.values[o].array.astype("float64")).all()
        for o in run.calls[()].outputs
        if run.values[o].array.dtype.kind in "fV"
    )
