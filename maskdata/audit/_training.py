"""The trials in training: layers that then work differently, and what noise depends on."""

from dataclasses import replace

from maskdata.audit._compare import change
from maskdata.audit._experiment import Experiment, Trial
from maskdata.audit._locate import Tolerance, guilty_of
from maskdata.audit._recorded import Key, Plan
from maskdata.audit._run import Run


def training_trials(
    experiment: Experiment, base: Run, trials: list[Trial], tolerance: Tolerance
) -> tuple[list[Trial], Run | None]:
    """Return the trials in training without noise, and a run in training with noise.

    There are no such trials if layers work as they do in inference. Rows alone are left out: the
    batch statistics of one row are others for a good reason.
    """
    of_batch = [trial for trial in trials if trial.runs[0] is base]
    if not of_batch:
        return [], None
    batch = of_batch[0].batches[0]
    noisy = experiment.run(batch, Plan(training=True))
    silent = frozenset(key for key, call in noisy.calls.items() if call.drew)
    quiet = experiment.run(batch, Plan(training=True, silent=silent)) if silent else noisy
    if _is_same(base, quiet, tolerance):
        return [], noisy
    found = []
    for trial in of_batch:
        new = replace(trial, runs=(quiet, quiet), training=True, silent=silent)
        new.runs = quiet, experiment.run(trial.batches[1], new.plan())
        new.compare(trial.axes)
        found.append(new)
    return found, noisy


def noise_by_length(
    experiment: Experiment, noisy: Run | None, trials: list[Trial], tolerance: Tolerance
) -> list[Key]:
    """Return the calls whose noise, drawn from the same seed, is another if the padding is longer."""
    longer = [trial for trial in trials if _is_longer(trial)]
    if noisy is None or not longer or not any(call.drew for call in noisy.calls.values()):
        return []
    trial = replace(longer[0], runs=(noisy, noisy), training=True)
    trial.runs = noisy, experiment.run(trial.batches[1], trial.plan())
    trial.compare(trial.axes)
    guilty = guilty_of(experiment, trial, tolerance)
    return sorted({origin.key for origin in guilty if noisy.calls[origin.key].drew})


def _is_longer(trial: Trial) -> bool:
    shapes = [[f.array.shape for f in batch.given] for batch in trial.batches]
    return shapes[0] != shapes[1]


def _is_same(one: Run, other: Run, tolerance: Tolerance) -> bool:
    return all(
        origin in other.values
        and change(value.array, other.values[origin].array) <= tolerance.of(value.array)
        for origin, value in one.values.items()
    )
