"""A functional model and its batch -> whether Keras gives it one tensor in place of another."""

from maskdata.audit._batch import Batch, names_of
from maskdata.audit._experiment import Experiment
from maskdata.audit._recorded import Plan
from maskdata.audit._run import Run
from maskdata.audit._said import is_about_inputs
from maskdata.audit.report import Problem


def misread_inputs(experiment: Experiment, batch: Batch, base: Run) -> list[Problem]:
    """Find out whether Keras gives the model one tensor in place of another."""
    if not any(map(is_about_inputs, base.warnings)) or not isinstance(batch.structure, dict):
        return []
    declared = [tensor.name for tensor in experiment.model.inputs]
    kept = [f for f in batch.given if f.name in declared]
    if len(kept) != len(declared):
        return []
    structure = {name: batch.structure[name] for name in sorted(names_of(kept))}
    kept.sort(key=lambda feature: feature.name)
    run = experiment.run(Batch(tuple(kept), structure), Plan())
    outputs = base.calls[()].outputs
    if all((run.values[o].array == base.values[o].array).all() for o in outputs):
        return []
    what = f"are read in sorted order, not by name: x has more than the model's {declared}."
    advice = f"Give it these only: ToKeras(x={declared})."
    return [Problem(None, "inputs", what, float("inf"), advice)]
