"""Fits that are stopped and go on, of models that are built once: to trace one takes seconds."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

import maskdata as md
from maskdata._resumable import _model_state
from tests.laws.resumable_runs import SOURCES, build_model

EPOCHS, STEPS = 2, 9


class StopAt(keras.callbacks.Callback):
    """Ends `fit` at the end of a step, before it is saved."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(self.model.optimizer.iterations.numpy()) >= self.step:
            raise KeyboardInterrupt


def restarting(model: keras.Model, batches: Any) -> Callable[[], keras.Model]:
    """Return a function that returns the model as it is now, before its first step."""
    _model_state.make_variables(model, next(iter(batches)))
    variables = _model_state.variables_of(model)
    start = [variable.numpy() for variable in variables]

    def restarted() -> keras.Model:
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        return model

    return restarted


@functools.cache
def _restarting(steps_per_execution: int) -> tuple[Callable[[], keras.Model], Any]:
    model, (plan, prepare) = build_model(), SOURCES["BatchPlan"]()
    model.steps_per_execution = steps_per_execution
    restarted = restarting(model, prepare(plan.stream()))
    return restarted, _model_state._generator_of_unseeded_layers()


def untrained(steps_per_execution: int = 1) -> keras.Model:
    """Return the model before its first step."""
    restarted, generator = _restarting(steps_per_execution)
    if generator is not _model_state._generator_of_unseeded_layers():
        _restarting.cache_clear()  # a seed was set since, and Keras draws from a new one
        return untrained(steps_per_execution)
    return restarted()


def fit(
    directory: Path, source: str, *, stop_at: int | None = None, model: Any = None, **arguments: Any
) -> tuple[keras.callbacks.History, keras.Model]:
    model = model or untrained()
    callbacks = [] if stop_at is None else [StopAt(stop_at)]
    training = md.Resumable(directory, save_freq=2)
    options = {"epochs": EPOCHS, "verbose": 0, "callbacks": callbacks}
    return training.fit(model, *SOURCES[source](), **options | arguments), model
