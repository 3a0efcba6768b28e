"""A Keras model in training <-> a file with every variable that training changes.

`model.save` leaves out the state of random layers (Keras 3.15), and so does a TensorFlow checkpoint.
"""

import contextlib
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np

from maskdata.data import _check

Spec = list[Any]
"""Shape and dtype of a variable, as JSON holds them."""


def variables_of(model: keras.Model) -> list[Any]:
    """Return the variables of layers, optimizer, metrics and random generators, in a fixed order."""
    generator = _generator_of_unseeded_layers()
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables, generator.state]


def specs_of(variables: list[Any]) -> list[Spec]:
    """Return what must be the same for a value to fit."""
    return [[list(v.shape), keras.backend.standardize_dtype(v.dtype)] for v in variables]


def save_variables(variables: list[Any], path: Path) -> None:
    """Write each value, bit by bit; as bytes, because NumPy has no bfloat16."""
    np.savez(path, *[np.frombuffer(v.numpy().tobytes(), np.uint8) for v in variables])


def restore_variables(variables: list[Any], path: Path) -> None:
    """Give each variable the value that was saved."""
    with np.load(path) as saved:
        for variable, name in zip(variables, saved.files, strict=True):
            dtype = variable.numpy().dtype
            variable.assign(saved[name].view(dtype).reshape(variable.shape))


def check_specs(who: str, variables: list[Any], saved: list[Spec]) -> None:
    """Refuse a model that has not the variables that were saved."""
    found = specs_of(variables)
    if found == saved:
        return
    got = f"{len(found)} variables"
    for variable, mine, was in zip(variables, found, saved, strict=False):
        if mine != was:
            got += f", of which {variable.path} is {mine} in place of {was}"
            break
    remedy = "Build and compile it as it was when it was saved, or train in a new directory."
    _check.refuse(who, f"the model must have the {len(saved)} variables saved", got, remedy)


def make_variables(model: keras.Model, batch: Any) -> None:
    """Let the model make the variables that it makes when it first meets data."""
    with scope_of(model):
        model.test_on_batch(*keras.tree.map_structure(np.asarray, batch))
        model.optimizer.build(model.trainable_variables)


def scope_of(model: keras.Model) -> contextlib.AbstractContextManager[Any]:
    """Return the scope of the strategy of the model; nothing on backends that have none."""
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def _generator_of_unseeded_layers() -> keras.random.SeedGenerator:
    """Return the generator from which Keras draws where no seed was given.

    Nothing public reaches it. It shows itself when it is asked for a seed, and is not used then.
    """
    asked: list[keras.random.SeedGenerator] = []

    def ask(generator: keras.random.SeedGenerator, **_: Any) -> Any:
        asked.append(generator)
        return keras.ops.convert_to_tensor([0, 0], "uint32")

    with mock.patch.object(keras.random.SeedGenerator, "next", ask):
        keras.random.uniform([])
    return asked[0]
