"""Trials -> by how much the outputs of the model change."""

from collections.abc import Iterable

from maskdata.audit._experiment import Trial
from maskdata.audit._locate import Tolerance
from maskdata.audit.report import Quantity


def outputs_of(name: str, trials: Iterable[Trial], tolerance: Tolerance) -> Quantity:
    """Return the largest change of an output where it is data."""
    changes = [
        (trial.found[origin].change, tolerance.of(trial.runs[0].values[origin].array))
        for trial in trials
        for origin in trial.runs[0].calls[()].outputs
        if origin in trial.found
    ]
    largest = max((by for by, _ in changes), default=0.0)
    return Quantity(name, largest, all(by <= most for by, most in changes))
