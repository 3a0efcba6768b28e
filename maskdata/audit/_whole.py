"""A model and its trials -> outputs, loss, gradients and metrics, and by how much they change."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from maskdata.audit._compare import change
from maskdata.audit._experiment import Experiment, Trial
from maskdata.audit._gradients import distance, flat, loss_and_gradients, loss_of
from maskdata.audit._labels import Predictions, extended
from maskdata.audit._locate import Tolerance
from maskdata.audit._outputs import outputs_of
from maskdata.audit._recorded import Origin
from maskdata.audit._run import Run
from maskdata.audit._said import first_line
from maskdata.audit._steps import Steps
from maskdata.audit._trials import Trials
from maskdata.audit.report import PACKED, Quantity

_WEIGHTS = "Give the mask of the steps as sample_weight."
_LOSS = (
    "Compile with maskdata.compile_args(loss=...), and give the mask as sample_weight or attach it "
    "to the outputs."
)
_METRIC = (
    "Compile with maskdata.compile_args(loss=..., metrics=...), which puts metrics.TokenWise into "
    "weighted_metrics."
)
_GRADIENTS = "Fill the padding with finite values: a masked NaN still makes NaN gradients."

Pair = tuple[Predictions, Predictions]
Mend = Callable[[Predictions], Predictions]


@dataclass
class Whole:
    """The numbers of the whole model.

    Attributes:
        quantities: What was compared.
        faults: What depends on padding although the outputs do not: name -> what, change, advice.
        lost: What lost the mask of the outputs, if the loss is right with it.
    """

    quantities: list[Quantity] = field(default_factory=list)
    faults: dict[str, tuple[str, float, str]] = field(default_factory=dict)
    lost: Origin | None = None


def judge(
    experiment: Experiment,
    trials: Trials,
    base: Run,
    tolerance: Tolerance,
    *,
    is_random: bool,
) -> Whole:
    """Compare the outputs, and what Keras makes of them with the labels."""
    whole, model = Whole(), experiment.model
    if is_random:
        whole.quantities.append(Quantity("outputs", 0.0, ok=True, why="random in inference too"))
        return whole
    whole.quantities.append(outputs_of("outputs", trials.all, tolerance))
    if trials.packed or trials.why_not_packed:
        of_packed = outputs_of(PACKED, trials.packed, tolerance)
        whole.quantities.append(replace(of_packed, why=trials.why_not_packed))
    of_batch = [trial for trial in trials.all if trial.runs[0] is base]
    why = _why_not(model, of_batch)
    if why:
        whole.quantities.append(Quantity("loss", 0.0, ok=True, why=why))
        return whole
    pairs = [_predictions(experiment, trial) for trial in of_batch]
    # In mixed precision the sums over a longer batch are rounded otherwise.
    tolerance = Tolerance(max(tolerance.of(value.array) for value in base.values.values()))
    with experiment.state.kept():
        mend = _judge_loss(model, pairs, whole, tolerance)
        if mend is not None:
            _judge_gradients(model, pairs, whole, tolerance)
            _judge_metrics(model, pairs, whole, tolerance, mend)
    return whole


def _why_not(model: keras.Model, trials: list[Trial]) -> str:
    if not model.compiled or model.loss is None:
        return "the model is not compiled with a loss"
    if not trials:
        return "no other padding could be tried"
    return "" if trials[0].batches[0].y is not None else "the batch has no labels"


def _predictions(experiment: Experiment, trial: Trial) -> Pair:
    """Return the predictions for both batches of a trial, right where data are."""
    one, right = trial.runs
    if any(difference.change for difference in trial.found.values()):
        right = experiment.run(trial.batches[1], trial.plan(trial.values_of(one, trial.found)))
    first, second = (
        Predictions.of(run, batch, followed.steps)
        for run, batch, followed in zip((one, right), trial.batches, trial.followed, strict=True)
    )
    labels = extended(trial.batches[0], first, second, _ignored(experiment.model))
    return first, replace(second, batch=labels, steps=_with_those_of(first, second))


def _with_those_of(first: Predictions, second: Predictions) -> list[Steps | None]:
    """Return the steps of outputs; those of a fixed length have the steps of the labels."""
    of_first = [first.data(place) for place in range(len(first.steps))]
    return [
        Steps({1: data}) if steps is None and data is not None else steps
        for steps, data in zip(second.steps, of_first, strict=True)
    ]


def _judge_loss(
    model: keras.Model, pairs: list[Pair], whole: Whole, tolerance: Tolerance
) -> Mend | None:
    """Judge the loss of right predictions; return what mends it, or None if there is no loss."""

    def changes(mend: Mend) -> float:
        base, *others = (_loss(model, mend(p)) for p in _all(pairs))
        return max(change(np.array(base), np.array(other)) for other in others)

    mend = _as_they_are
    try:
        _loss(model, pairs[0][0])
    except Exception as error:  # whatever the loss says to these labels
        whole.quantities.append(Quantity("loss", 0.0, ok=False, why=first_line(error)))
        whole.faults["loss"] = f"cannot be computed: {first_line(error)}.", 0.0, _LOSS
        return None
    try:
        by = changes(mend)
    except Exception as error:
        whole.quantities.append(Quantity("loss", np.inf, ok=False, why=first_line(error)))
        what = f"works for this padded length only: {first_line(error)}."
        whole.faults["loss"] = what, np.inf, _LOSS
        return None
    whole.quantities.append(Quantity("loss", by, by <= tolerance.relative))
    if by <= tolerance.relative:
        return mend
    what = f"counts padding: it changes by {by:.2g} although the outputs do not."
    lost = [s.lost for _, second in pairs for s in second.steps if s is not None and s.lost]
    if lost and _is_right(lambda: changes(Predictions.with_masks), tolerance):
        whole.lost = min(lost, key=lambda origin: origin.key)
        return Predictions.with_masks
    if _is_right(lambda: changes(Predictions.with_weights), tolerance):
        whole.faults["loss"] = what, by, _WEIGHTS
        return Predictions.with_weights
    whole.faults["loss"] = what, by, _LOSS
    return mend


def _is_right(changes: Callable[[], float], tolerance: Tolerance) -> bool:
    try:
        return changes() <= tolerance.relative
    except Exception:  # a loss that does not take masks or weights of this shape
        return False


def _judge_gradients(
    model: keras.Model, pairs: list[Pair], whole: Whole, tolerance: Tolerance
) -> None:
    """Judge loss and gradients of the model as it is."""
    first = pairs[0][0].batch
    others = [second.batch for _, second in pairs if second.batch.features is not first.features]
    try:
        base, gradients = loss_and_gradients(model, first.x, first.y, first.sample_weight)
        results = [loss_and_gradients(model, b.x, b.y, b.sample_weight) for b in others]
    except Exception as error:  # an exotic layer or backend
        whole.quantities.append(Quantity("gradients", 0.0, ok=True, why=first_line(error)))
        return
    by = max(
        [whole.quantities.pop().change]
        + [change(np.array(base), np.array(loss)) for loss, _ in results]
    )
    whole.quantities.append(Quantity("loss", by, by <= tolerance.relative))
    base_gradients = flat(gradients)
    by = max((distance(base_gradients, flat(other)) for _, other in results), default=0.0)
    if not np.isfinite(base_gradients).all():
        by = np.inf
        whole.faults["gradients"] = "are not finite.", by, _GRADIENTS
    whole.quantities.append(Quantity("gradients", by, by <= 10 * tolerance.relative))


def _judge_metrics(
    model: keras.Model, pairs: list[Pair], whole: Whole, tolerance: Tolerance, mend: Mend
) -> None:
    """Judge each metric over two batches, of which the second has other padding."""
    try:
        as_is = mended = _metrics(model, _as_they_are, pairs)
        if mend is not _as_they_are:
            mended = _metrics(model, mend, pairs)
    except Exception as error:  # whatever a metric says to these labels
        whole.quantities.append(Quantity("metrics", 0.0, ok=False, why=first_line(error)))
        whole.faults["metrics"] = f"cannot be computed: {first_line(error)}.", 0.0, _METRIC
        return
    for name, by in as_is.items():
        whole.quantities.append(Quantity(name, by, by <= tolerance.relative))
        if mended[name] > tolerance.relative:
            what = f"counts padding: over two batches it changes by {by:.2g}."
            whole.faults[name] = what, by, _METRIC


def _metrics(model: keras.Model, mend: Mend, pairs: list[Pair]) -> dict[str, float]:
    """Return by how much each metric changes."""
    first, *others = (mend(predictions) for predictions in _all(pairs))
    rows = len(first.batch.given[0].array)
    halves = (slice(rows // 2), slice(rows // 2, rows)) if rows > 1 else (slice(1),) * 2

    def results(of_second_half: Predictions) -> dict[str, Any]:
        model.reset_metrics()
        found: dict[str, Any] = {}
        for predictions, part in zip((first, of_second_half), halves, strict=True):
            y, y_pred, weight = predictions.rows(part)
            x = predictions.batch.x
            found = model.compute_metrics(x=x, y=y, y_pred=y_pred, sample_weight=weight)
        # Keras' own "loss" stands still here: it counts what `fit` computes.
        found.pop("loss", None)
        return {n: np.asarray(keras.ops.convert_to_numpy(value)) for n, value in found.items()}

    base, all_others = results(first), [results(other) for other in others]
    return {name: max(change(base[name], other[name]) for other in all_others) for name in base}


def _all(pairs: list[Pair]) -> list[Predictions]:
    """Return the predictions for the batch, and the same ones in all other padding."""
    first = pairs[0][0]
    return [first, first.with_other_padding(), *(second for _, second in pairs)]


def _as_they_are(predictions: Predictions) -> Predictions:
    return predictions


def _loss(model: keras.Model, predictions: Predictions) -> float:
    y, y_pred, sample_weight = predictions.labels
    return float(loss_of(model, predictions.batch.x, y, y_pred, sample_weight))


def _ignored(model: keras.Model) -> Any:
    """Return the label that a compiled loss ignores, if there is one."""
    for loss in keras.tree.flatten(model.loss):
        for name in ("ignored_label", "ignore_class"):
            if getattr(loss, name, None) is not None:
                return getattr(loss, name)
    return None
