"""A model and a batch -> a report."""

import warnings
from collections.abc import Callable
from typing import Any

import keras

from maskdata.audit import _batch_masks, _notes, _training, _trials
from maskdata.audit._advice import for_code
from maskdata.audit._batch import Batch, names_of, parse, refuse
from maskdata.audit._compare import change
from maskdata.audit._experiment import Experiment
from maskdata.audit._locate import Tolerance, locate
from maskdata.audit._made_masks import made_masks
from maskdata.audit._misread_inputs import misread_inputs
from maskdata.audit._precision import full_precision
from maskdata.audit._problems import problem_of_loss, problems
from maskdata.audit._recorded import Plan
from maskdata.audit._replicas import check_strategy, judge_replicas, make_metrics
from maskdata.audit._run import Run
from maskdata.audit._said import call_of, first_line, is_about_inputs
from maskdata.audit._state import State
from maskdata.audit._steps import follow
from maskdata.audit._trials import Trials
from maskdata.audit._verdicts import Habits, habits, verdicts
from maskdata.audit._whole import judge
from maskdata.audit.report import Problem, Quantity, Report


def audit(
    model: keras.Model,
    batch: Any,
    *,
    mask: Any = None,
    strategy: Any = None,
    tolerance: float = 1e-5,
) -> Report:
    """Find out whether padding changes the result of a model, and which layer lets it.

    Stage: a model and one of its batches -> **a report**.

    The model is run on the batch, on the batch padded further, on the batch with other values in its
    padding, and on two rows alone without any. Every call of a layer, an operation, a function of
    `keras.ops` or an operator is recorded; those whose values at data change although those of
    their inputs do not are found by experiment, whatever they are. A call that is right as soon as
    it gets the mask of its input is not blamed: what lost that mask is. Then outputs, compiled
    loss, gradients and each metric are compared.

    A packed batch, which has a feature `<name>_segment_ids` in `x`, is also run with other rows in
    its odd and in its even segments, and with the segments of each packed row in reverse order:
    calls that let one segment change another are found in the same way.

    Layers work as in inference; if some work differently in training, they are tried so too,
    without noise. Model, optimizer, metrics and random state are afterwards what they were;
    what Keras builds when it is first used (an unbuilt model, metrics) is built.

    Args:
        model: A Keras model: functional, sequential, nested or subclassed; compiled or not.
        batch: What `ToKeras` gives: `x`, `(x, y)` or `(x, y, sample_weight)`; `x` is a tensor, a
            list or a dict. Small is enough: some rows of different length.
        mask: Which steps are data, if `x` has no `<name>_mask` and the model makes no mask: an array
            [B, L], the name of a tensor in `x`, or a dict from features to these, or to None
            for a feature without steps.
        strategy: A `tf.distribute.Strategy`, to compare one device with its replicas too.
        tolerance: Largest relative change that counts as rounding, for float32.

    Shapes:
        x: [B, L, ...] with masks [B, L]; features without steps as they are
        y, sample_weight: as the model is trained on them

    Raises:
        TypeError: When called, for what is no Keras model, no batch or no strategy.
        ValueError: When called, for a batch without any mask, a mask of another shape or with other
            values than 0 and 1, and a model that does not run on the batch.

    Example:
        >>> x = keras.Input([None, 2], name="x")
        >>> mask = keras.Input([None], name="x_mask")
        >>> h = md.layers.AttachMask()([x, mask])
        >>> h = keras.layers.GroupNormalization(1, name="norm")(h)
        >>> model = keras.Model([x, mask], h)
        >>> values = np.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 7.0], [0.0, 0.0]]])
        >>> report = md.audit(model, [values, np.array([[1, 1], [1, 0]])])
        >>> report.ok, [problem.name for problem in report.problems]
        (False, ['norm'])
        >>> report.problems[0].advice
        'Use maskdata.layers.MaskedGroupNormalization.'
    """
    if not isinstance(model, keras.Model):
        remedy = "For a layer or function use maskdata.testing.assert_padding_invariant."
        refuse("audit", "model must be a keras.Model", model, remedy, TypeError)
    return examine("audit", model, batch, mask=mask, strategy=strategy, tolerance=tolerance)


def examine(
    who: str, model: keras.Model, batch: Any, *, mask: Any, strategy: Any, tolerance: float
) -> Report:
    """Do what `audit` does, in the name of `who`."""
    check_strategy(who, strategy)
    batch = _batch_masks.with_masks(who, parse(who, model, batch), mask)
    state = State(model)
    experiment = Experiment(model, state)
    with full_precision():
        batch, made = _with_made_masks(who, batch, _first_run(who, experiment, batch))
        with state.kept():
            state.wake()
            experiment.state = State(model)  # what each single run is to leave behind
            return _report(experiment, batch, made, strategy, Tolerance(tolerance))


def _report(
    experiment: Experiment, batch: Batch, made: set[str], strategy: Any, limit: Tolerance
) -> Report:
    base, trials = _run(experiment, batch, made)
    unjudged: list[str] = []

    def attempt(what: str, otherwise: Any, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return function(experiment, *args)
        except Exception as error:  # an exotic layer: the audit says so, and goes on
            unjudged.append(f"Could not tell {what}: {first_line(error)}.")
            return otherwise

    faults, random = attempt(
        "which calls read padding", ({}, set()), locate, [*trials.packed, *trials.all], limit
    )
    in_training, noisy = attempt(
        "what happens in training", ([], None), _training.training_trials, base, trials.all, limit
    )
    only_there, _ = attempt("what happens in training", ({}, set()), locate, in_training, limit)
    faults = only_there | faults
    of_batch = [trial for trial in trials.all if trial.runs[0] is base]
    runs = (of_batch[0].batches[1], of_batch[0].runs[1]) if of_batch else (batch, base)
    does = attempt("which calls use their mask", Habits(), habits, *runs)
    noise = attempt("what noise does", [], _training.noise_by_length, noisy, of_batch, limit)

    steps, failed = follow(base, batch, trials.axes), _failed(base, trials)
    calls = verdicts(base, steps, faults, does, failed)
    found = problems(base, steps, faults, does, calls, failed)
    found += misread_inputs(experiment, batch, base)

    make_metrics(experiment, batch, base, strategy)
    is_random = bool(random) and _has_random_outputs(experiment, batch, base)
    whole = judge(experiment, trials, base, limit, is_random=is_random)
    quantities = whole.quantities
    if whole.lost is not None:
        by = next(q.change for q in quantities if q.name == "loss")
        found.append(problem_of_loss(base, whole.lost, by, calls))
    found += [Problem(None, name, *of) for name, of in whole.faults.items()]
    if strategy is not None:
        of_replicas, of_their_own = judge_replicas(experiment, batch, strategy, limit)
        quantities, found = quantities + of_replicas, found + of_their_own
    return Report(
        experiment.model.name,
        list(calls.values()),
        _in_order(found) or _unexplained(quantities, trials),
        quantities,
        [trial.what for trial in (*trials.all, *trials.packed)],
        [*_notes.notes(batch, base, trials, random, noise, experiment.closed), *unjudged],
    )


def _run(experiment: Experiment, batch: Batch, made: set[str]) -> tuple[Run, Trials]:
    """Return a run of the batch, and the trials; calls whose inner calls differ become closed."""
    while True:
        experiment.first = None
        base = experiment.first = experiment.run(batch, Plan())
        trials = _trials.run_trials(experiment, batch, base, made)
        other = _trials.unlike(trials) - experiment.closed
        if not other:
            return base, trials
        experiment.closed |= other


def _in_order(found: list[Problem]) -> list[Problem]:
    """Return problems of calls by their number, then the others."""
    return sorted(found, key=lambda p: (p.call is None, p.call.number if p.call else 0))


def _unexplained(quantities: list[Quantity], trials: Trials) -> list[Problem]:
    """Return what changes although nothing was found that makes it so."""
    if not trials.all:
        what = "could not be judged: no other padding could be tried, see the notes."
        return [Problem(None, "outputs", what, 0.0, "Give a batch with padding.")]
    return [
        Problem(
            None, q.name, f"change by {q.change:.2g}; where is not known.", q.change, for_code()
        )
        for q in quantities
        if not q.ok
    ]


def _first_run(who: str, experiment: Experiment, batch: Batch) -> Run:
    """Run the model as it is; an unbuilt one is built by this, as by any first call."""
    try:
        run = experiment.run(batch, Plan())
    except Exception as error:
        call = call_of(error)
        where = "" if call is None or not call.key else f" in {call.target.name!r}"
        raise ValueError(
            f"{who}: the model must run on the batch, got {first_line(error)}{where}. "
            "Give a batch that model(x) takes, as ToKeras makes it."
        ) from error
    experiment.state.note()
    for entry in run.warnings:
        if not is_about_inputs(entry):
            warnings.warn(str(entry.message), entry.category, stacklevel=4)
    return run


def _with_made_masks(who: str, batch: Batch, run: Run) -> tuple[Batch, set[str]]:
    made, are_masks = made_masks(run, batch)
    batch = _batch_masks.with_made_masks(batch, made, are_masks)
    if not batch.steps_by_length():
        raise ValueError(
            f"{who}: the batch must say which steps are padding, got x with "
            f"{names_of(batch.given)} and a model that makes no mask. Pass mask=..., [B, L] and "
            "True where a step is data, or put it into x as '<name>_mask'."
        )
    return batch, set() if are_masks else set(made)


def _failed(base: Run, trials: Trials) -> dict[tuple[int, ...], str]:
    runs = [base, *(run for trial in trials.all for run in trial.runs)]
    return {key: call.failed for run in runs for key, call in run.calls.items() if call.failed}


def _has_random_outputs(experiment: Experiment, batch: Batch, base: Run) -> bool:
    again = experiment.run(batch, Plan(), other_noise=True)
    pairs = [(base.values[o].array, again.values[o].array) for o in base.calls[()].outputs]
    return any(change(*pair) > 0 for pair in pairs)
