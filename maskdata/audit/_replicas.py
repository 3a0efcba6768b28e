"""A model and a batch -> loss, gradients and metrics of one device, and of several replicas."""

import contextlib
from typing import Any

import keras
import numpy as np
from keras import ops

from maskdata.audit._batch import Batch, refuse
from maskdata.audit._compare import change
from maskdata.audit._experiment import Experiment
from maskdata.audit._gradients import distance, flat, loss_and_gradients, loss_of
from maskdata.audit._locate import Tolerance
from maskdata.audit._run import Run
from maskdata.audit._said import first_line
from maskdata.audit.report import Problem, Quantity

_LOSS = "Compile with maskdata.compile_args(loss=...): it divides by the weights of all replicas."
_METRIC = "Compile with maskdata.compile_args(loss=..., metrics=...) in the scope of the strategy."


def check_strategy(who: str, strategy: Any) -> None:
    """Refuse what is no strategy of TensorFlow."""
    if strategy is None:
        return
    if keras.backend.backend() != "tensorflow" or not hasattr(strategy, "num_replicas_in_sync"):
        must = "strategy must be a tf.distribute.Strategy, on the TensorFlow backend"
        refuse(who, must, strategy, "Leave it out.", TypeError)
    import tensorflow as tf

    if tf.distribute.has_strategy():
        raise ValueError(
            f"{who}: one device must be compared with replicas, got the scope of a strategy. "
            "Call it outside of strategy.scope()."
        )


def make_metrics(experiment: Experiment, batch: Batch, base: Run, strategy: Any) -> None:
    """Let Keras make its metrics in the scope of the strategy, as `fit` does."""
    if strategy is None or not experiment.model.compiled:
        return
    y, weight = batch.y, batch.sample_weight
    # A metric that cannot take these labels says so when it is judged.
    with experiment.state.kept(), strategy.scope(), contextlib.suppress(Exception):
        experiment.model.compute_metrics(x=batch.x, y=y, y_pred=base.outputs, sample_weight=weight)


def judge_replicas(
    experiment: Experiment, batch: Batch, strategy: Any, tolerance: Tolerance
) -> tuple[list[Quantity], list[Problem]]:
    """Compare one device with replicas, each of which gets a part of the rows."""
    model, replicas = experiment.model, strategy.num_replicas_in_sync
    where = f"on {replicas} replicas"
    rows = len(batch.given[0].array)
    if not model.compiled or model.loss is None or batch.y is None:
        return [], []  # told for one device already
    if rows < replicas:
        why = f"{rows} rows are too few"
        return [Quantity(f"loss {where}", 0.0, ok=True, why=why)], []
    with experiment.state.kept():
        try:
            one = _on_one_device(model, batch)
            many = _on_replicas(model, batch, strategy)
        except Exception as error:  # a strategy that cannot run here
            return [Quantity(f"loss {where}", 0.0, ok=True, why=first_line(error))], []
    quantities: list[Quantity] = []
    problems: list[Problem] = []
    for name, values in one.items():
        if name not in many:
            why = "made outside of the scope of the strategy"
            quantities.append(Quantity(f"{name} {where}", 0.0, ok=True, why=why))
            continue
        measure, most = (distance, 10) if name == "gradients" else (change, 1)
        by = measure(values, many[name])
        ok = by <= most * tolerance.relative
        quantities.append(Quantity(f"{name} {where}", by, ok))
        if not ok and (name != "gradients" or not problems):
            advice = _LOSS if name in ("loss", "gradients") else _METRIC
            what = f"differs from one device by {by:.2g}."
            problems.append(Problem(None, f"{name} {where}", what, by, advice))
    return quantities, problems


def _on_one_device(model: keras.Model, batch: Batch) -> dict[str, Any]:
    y, weight = batch.y, batch.sample_weight
    loss, gradients = loss_and_gradients(model, batch.x, y, weight)
    model.reset_metrics()
    y_pred = model(batch.x, training=False)
    metrics = model.compute_metrics(x=batch.x, y=y, y_pred=y_pred, sample_weight=weight)
    return {"loss": np.array(loss), "gradients": flat(gradients), **_as_numbers(metrics)}


def _on_replicas(model: keras.Model, batch: Batch, strategy: Any) -> dict[str, Any]:
    import tensorflow as tf

    variables = [variable.value for variable in model.trainable_variables]
    is_in_scope = all(
        strategy.extended.variable_created_in_scope(variable.value)
        for variable in model.metrics_variables
    )

    def step(x: Any, y: Any, weight: Any) -> Any:
        with tf.GradientTape() as tape:
            y_pred = model(x, training=False)
            loss = loss_of(model, x, y, y_pred, weight)
        if is_in_scope:
            model.compute_metrics(x=x, y=y, y_pred=y_pred, sample_weight=weight)
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

    rows = np.array_split(np.arange(len(batch.given[0].array)), strategy.num_replicas_in_sync)

    def part(context: Any) -> Any:
        own = rows[context.replica_id_in_sync_group]
        return keras.tree.map_structure(
            lambda leaf: (
                None
                if leaf is None
                else ops.convert_to_tensor(np.asarray(ops.convert_to_numpy(leaf))[own])
            ),
            (batch.x, batch.y, batch.sample_weight),
        )

    model.reset_metrics()
    given = strategy.experimental_distribute_values_from_function(part)
    # Traced: on its own, each replica would have to wait for the others in every operation.
    loss, gradients = tf.function(lambda *args: strategy.run(step, args))(*given)
    # What Keras does: the gradients of the replicas are added up.
    added = [strategy.reduce("SUM", gradient, axis=None).numpy() for gradient in gradients]
    found = {"loss": strategy.reduce("SUM", loss, axis=None).numpy(), "gradients": flat(added)}
    return {**found, **(_as_numbers(model.get_metrics_result()) if is_in_scope else {})}


def _as_numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        name: np.asarray(ops.convert_to_numpy(value))
        for name, value in metrics.items()
        if name != "loss"
    }
