"""A batch and its run -> trials: padded further, other padding, rows alone, packed otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from maskdata.audit import _packed_trials, _variants
from maskdata.audit._batch import Batch
from maskdata.audit._experiment import Experiment, Trial
from maskdata.audit._made_masks import makers, masks
from maskdata.audit._recorded import Array, Key, Origin, Plan, Recorded
from maskdata.audit._run import Run
from maskdata.audit._said import call_of
from maskdata.audit._steps import Axes, growing_axes

EXTRA = 3  # odd, for the strided layers whose offset depends on the length


@dataclass
class Trials:
    """All trials of one batch.

    Attributes:
        all: The trials of padding that could be run.
        packed: Those of a packed batch: other neighbours, another order.
        why_not_packed: Why it was not tried whether segments mix, or "".
        failed: What was tried in vain -> the call that raised, and the error.
        axes: The axes that grow with the padding; None if no other length could be tried.
    """

    all: list[Trial] = field(default_factory=list)
    packed: list[Trial] = field(default_factory=list)
    why_not_packed: str = ""
    failed: dict[str, tuple[Recorded | None, Exception]] = field(default_factory=dict)
    axes: Axes | None = None


def run_trials(experiment: Experiment, batch: Batch, base: Run, made: set[str]) -> Trials:
    """Run every trial, and compare. `made` are the features whose mask the model makes."""
    trials = Trials()
    tries: dict[str, Callable[[str], Trial | None]] = {
        f"the batch padded by {EXTRA} more steps": partial(_longer, experiment, batch, base, made),
        "the batch with other values in its padding": partial(_garbage, experiment, batch, base),
    }
    for row in _variants.rows_to_unpad(batch):
        tries[f"row {row} alone, without its padding"] = partial(_alone, experiment, batch, row)
    for what, run in tries.items():
        try:
            trial = run(what)
        except Exception as error:  # the model may not take such a batch: told in the report
            trials.failed[what] = call_of(error), error
        else:
            trials.all += [trial] if trial is not None else []

    reshaped = [trial.runs for trial in trials.all if _is_reshaped(trial)]
    trials.axes = growing_axes(reshaped) if reshaped else None
    for trial in trials.all:
        trial.compare(trials.axes)
    if batch.segment_ids():
        _run_packed(trials, experiment, batch, base)
    return trials


def _run_packed(trials: Trials, experiment: Experiment, batch: Batch, base: Run) -> None:
    tries = {
        "the batch with other rows in every second segment": _packed_trials.among_others,
        "the batch with its segments in another order": _packed_trials.in_another_order,
    }
    if not _packed_trials.has_neighbours(batch):
        trials.why_not_packed = "no packed row holds two segments with steps"
        return
    for what, run in tries.items():
        try:
            trials.packed += run(experiment, batch, base, trials.axes)
        except Exception as error:  # as above
            trials.failed[what] = call_of(error), error
            trials.why_not_packed = "it could not be tried, see the notes"


def unlike(trials: Trials) -> set[Key]:
    """Return the calls inside of which other calls were made in another run."""
    found = set()
    for trial in (*trials.all, *trials.packed):
        one, other = (_children(run) for run in trial.runs)
        found |= {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
    return found


def _longer(
    experiment: Experiment, batch: Batch, base: Run, made: set[str], what: str
) -> Trial | None:
    longer = _variants.longer(batch, EXTRA)
    if longer is None:
        return None
    run = experiment.run(longer, Plan())
    if made and not _is_same_data(base, run):
        raise ValueError(f"The model takes the padding of {sorted(made)} for data.")
    return Trial(what, (batch, longer), (base, run))


def _garbage(experiment: Experiment, batch: Batch, base: Run, what: str) -> Trial | None:
    names = {feature.name for feature in batch.given if _variants.has_padding(feature)}
    other, run = batch, base
    if names:
        other = _variants.garbage(batch, names)
        run = experiment.run(other, Plan())
    if not _is_same_data(base, run):  # what stands in the padding is what makes the mask
        alone = {name: experiment.run(_variants.garbage(batch, {name}), Plan()) for name in names}
        names = {name for name in names if _is_same_data(base, alone[name])}
        other = _variants.garbage(batch, names)
        run = experiment.run(other, Plan()) if names else base
    trial = Trial(what, (batch, other), (base, run), injected=_learned_padding(base))
    if not names and not trial.injected:
        return None
    if trial.injected:
        trial.runs = base, experiment.run(other, trial.plan())
    return trial


def _alone(experiment: Experiment, batch: Batch, number: int, what: str) -> Trial:
    one = _variants.row(batch, number)
    other = _variants.unpadded(one)
    sides = {batch.side(length) for length in batch.steps_by_length()}
    runs = experiment.run(one, Plan()), experiment.run(other, Plan())
    return Trial(what, (one, other), runs, side=sides.pop() if len(sides) == 1 else None)


def _learned_padding(run: Run) -> dict[Origin, Array]:
    """Return other values for the padding after layers that make a mask and have weights.

    What such a layer gives for padding is learned, the row of id 0 in an embedding: any value.
    """
    random = np.random.default_rng(0)
    return {
        origin: _variants.other_values(run.values[origin].array, mask, random)
        for call in makers(run)
        if call.target.is_layer and call.target.op.trainable_weights
        for origin, mask in masks(run, call).items()
        if not mask.all()
    }


def _is_same_data(one: Run, other: Run) -> bool:
    """Tell whether the masks that the model makes call as many steps of each row data."""

    def counts(run: Run) -> list[list[int]]:
        made = [mask for call in makers(run) for mask in masks(run, call).values()]
        return [mask.reshape(len(mask), -1).sum(axis=1).tolist() for mask in made]

    return counts(one) == counts(other)


def _children(run: Run) -> dict[Key, list[object]]:
    found: dict[Key, list[object]] = {key: [] for key in run.calls}
    for key, call in run.calls.items():
        if key:
            found[key[:-1]].append(call.target.op)
    return found


def _is_reshaped(trial: Trial) -> bool:
    one, other = (names_and_shapes(batch) for batch in trial.batches)
    return one != other


def names_and_shapes(batch: Batch) -> dict[str, tuple[int, ...]]:
    """Return the shape of each feature."""
    return {feature.name: feature.array.shape for feature in batch.given}
