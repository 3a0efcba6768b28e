"""What a call of a model may change, put back as it was."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from maskdata.audit._recorded import Array


class State:
    """The variables of a model, and the state of the random number generators.

    Keras draws unseeded numbers from a generator that nothing public reaches. It shows itself
    when it is used: `drew` notes the state of every generator before its first number.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._saved: dict[int, tuple[Any, Array]] = {}
        self._seeds: list[Any] = []
        self._python = random.getstate()
        self._numpy = np.random.get_state()
        self.note()

    def note(self) -> None:
        """Note the variables that are new: a first call makes some."""
        optimizer = getattr(self._model, "optimizer", None)
        of_optimizer = optimizer.variables if optimizer is not None else []
        for variable in (*self._model.variables, *of_optimizer, *self._model.metrics_variables):
            self._save(variable)

    def drew(self, generator: keras.random.SeedGenerator) -> None:
        """Note a generator of random numbers before it is used."""
        self._save(generator.state)
        if not any(seed is generator.state for seed in self._seeds):
            self._seeds.append(generator.state)

    def advance(self) -> None:
        """Let all known generators draw other numbers next."""
        for seed in self._seeds:
            seed.assign(seed + 1)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Put everything back at the end."""
        try:
            yield
        finally:
            for metric in self._model.metrics:
                if any(id(variable) not in self._saved for variable in metric.variables):
                    metric.reset_state()  # Keras makes some metrics when they are first used
            for variable, value in self._saved.values():
                if np.asarray(variable.numpy()).tobytes() != value.tobytes():
                    variable.assign(value)
            random.setstate(self._python)
            np.random.set_state(self._numpy)

    def wake(self) -> None:
        """Give the weights that are all zero small values: after a step of training they have some.

        The biases of an untrained model would hide that padding is no longer zero behind a layer.
        """
        random = np.random.default_rng(0)
        for variable in self._model.trainable_variables:
            if not np.any(variable.numpy()):
                variable.assign(random.uniform(-0.1, 0.1, variable.shape))

    def _save(self, variable: Any) -> None:
        self._saved.setdefault(id(variable), (variable, np.array(variable.numpy())))
