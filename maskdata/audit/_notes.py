"""What an audit could not judge and why, and what else one should know."""

from collections.abc import Iterable

import numpy as np

from maskdata.audit._batch import Batch
from maskdata.audit._recorded import Key, Origin
from maskdata.audit._run import Run
from maskdata.audit._said import first_line
from maskdata.audit._trials import Trials


def notes(
    batch: Batch,
    run: Run,
    trials: Trials,
    random: Iterable[Origin],
    noisy: Iterable[Key],
    closed: Iterable[Key],
) -> list[str]:
    """Return them as sentences."""
    found = _of_packed(batch)
    plain = [f for f in batch.given if f.steps is None and not f.is_mask]
    if plain:
        names = ", ".join(f"{f.name} {list(f.array.shape)}" for f in plain)
        found.append(f"Taken for features without steps, and not padded: {names}.")
    found += [
        f"{f.name} has no mask; it is as long as {f.is_like}, and was padded like it. If its axis 1 "
        f"is not time, pass mask={{'{f.name}': None}}."
        for f in batch.given
        if f.is_like is not None
    ]
    fixed = [f.name for f in batch.given if f.is_fixed and f.steps is not None]
    if fixed:
        names = ", ".join(fixed)
        found.append(f"The model fixes the number of steps of {names}: no other length was tried.")
    infinite = [
        f.name
        for f in batch.given
        if f.entries is not None
        and f.array.dtype.kind == "f"
        and not np.isfinite(f.array[~f.entries]).all()
    ]
    if infinite:
        found.append(f"NaN or infinity in the padding of {', '.join(infinite)}: pad with numbers.")
    for what, (call, error) in trials.failed.items():
        where = "" if call is None or not call.key else f" in {call.target.name}"
        found.append(f"Could not try {what}: {first_line(error)}{where}.")
    names = _names(run, closed)
    if names:
        found.append(
            f"{names}: makes other calls inside from run to run, and was judged as a whole."
        )
    names = _names(run, {origin.key for origin in random})
    if names:
        found.append(f"{names}: random in inference too, and not judged.")
    names = _names(run, noisy)
    if names:
        found.append(
            f"In training the noise of {names} depends on the padded length: with the same seed, "
            "other steps are dropped. maskdata.layers.MaskedDropout draws it for each step."
        )
    bare = _outputs_without_mask(batch, run, trials)
    if bare:
        found.append(
            "The outputs have steps and carry no mask: the loss needs the mask as sample_weight."
        )
    return found


def _of_packed(batch: Batch) -> list[str]:
    if not batch.segment_ids():
        return []
    most = max(int(ids.max(initial=0)) for ids in batch.segment_ids().values())
    names = ", ".join(batch.segment_ids())
    return [f"A packed batch: up to {most} segments in a row, by {names}."]


def _names(run: Run, keys: Iterable[Key]) -> str:
    return ", ".join(str(run.calls[key].target.name) for key in sorted(keys) if key in run.calls)


def _outputs_without_mask(batch: Batch, run: Run, trials: Trials) -> bool:
    """Tell whether an output has steps that only weights could tell from padding."""
    if batch.y is not None or not trials.all:
        return False  # otherwise the loss was judged
    steps = trials.all[0].followed[0].steps
    outputs = run.calls[()].outputs
    return any(o in steps and run.values[o].mask is None for o in outputs)
