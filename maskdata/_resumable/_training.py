"""What was saved + a model and its data -> the model trained further, and saved."""

from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from maskdata._resumable import _directory
from maskdata._resumable._callback import History, SaveCallback
from maskdata._resumable._model_state import (
    check_specs,
    make_variables,
    restore_variables,
    save_variables,
    scope_of,
    specs_of,
    variables_of,
)
from maskdata._resumable._sources import Source
from maskdata.data import _check

VERSION = 1
VARIABLES = "variables.npz"
NUM_BATCHES = "number of batches"


class Training:
    """One process of a training. When built, it is where the one before was saved."""

    def __init__(
        self,
        who: str,
        directory: Path,
        saved: _directory.Saved | None,
        save_freq: int,
        model: keras.Model,
        source: Source,
    ) -> None:
        self._who, self._directory, self._save_freq = who, directory, save_freq
        self._model, self._source = model, source
        self._epoch, self._step = 0, 0
        self.history: History = {}
        self._saved = saved
        if saved is None:
            self._identity(0)  # which refuses what could not be told apart later
        else:
            self._resume(saved)

    def run(self, epochs: int, arguments: dict[str, Any]) -> None:
        """Train to the end of an epoch that was begun, then the others."""
        if self._epoch >= epochs:
            # What `fit` does at its end: averages take the place of weights, if there are some.
            self._model.optimizer.finalize_variable_values(self._model.trainable_variables)
            return
        if self._step:
            self._fit(self._epoch + 1, arguments)
            if self._model.stop_training or self._epoch >= epochs:
                return
            self._restore()  # the weights in the place of the averages
        self._fit(epochs, arguments)

    def _fit(self, epochs: int, arguments: dict[str, Any]) -> None:
        steps = self._source.num_batches
        callback = SaveCallback(
            self._save,
            num_batches=steps,
            save_freq=self._save_freq,
            epoch=self._epoch,
            step=self._step,
            metrics=[variable.numpy() for variable in self._model.metrics_variables],
            history=self.history,
        )
        saved = None if self._saved is None else self._saved.path
        callbacks = [*(arguments.get("callbacks") or []), callback]
        batches = self._source.batches(self._epoch, self._step, epochs, saved)
        with callback.stopping_only_when_saved():
            self._model.fit(
                batches,
                shuffle=False,
                initial_epoch=self._epoch,
                epochs=epochs,
                steps_per_epoch=steps - self._step,
                **arguments | {"callbacks": callbacks},
            )

    def _save(self, model: keras.Model, epoch: int, step: int) -> None:
        variables = variables_of(model)

        def write(path: Path) -> None:
            save_variables(variables, path / VARIABLES)
            self._source.save(path)

        manifest = {
            "version": VERSION,
            "epoch": epoch,
            "step": step,
            "identity": self._identity(epoch),
            "variables": specs_of(variables),
            "history": self.history,
        }
        number = epoch * self._source.num_batches + step
        self._saved = _directory.save(self._who, self._directory, number, manifest, write)
        self._epoch, self._step = epoch, step

    def _resume(self, saved: _directory.Saved) -> None:
        manifest = saved.manifest
        self._check_version(manifest["version"])
        epoch = manifest["epoch"]
        for name, found in self._identity(epoch).items():
            was = manifest["identity"].get(name)
            if was != found:
                must = f"{name} must be what it was when {saved.path} was saved, {was!r}"
                remedy = "Bring it back, or train in a new directory."
                _check.refuse(self._who, must, found, remedy)
        make_variables(self._model, self._source.first_batch(epoch))
        check_specs(self._who, variables_of(self._model), manifest["variables"])
        self._restore()
        self._epoch, self._step = epoch, manifest["step"]
        self.history = manifest["history"]

    def _identity(self, epoch: int) -> dict[str, Any]:
        """Return what must be the same for the same training to go on."""
        return {
            "maskdata": metadata.version("maskdata"),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            NUM_BATCHES: self._source.num_batches,
            **self._source.identity(epoch),
        }

    def _check_version(self, version: int) -> None:
        if version != VERSION:
            remedy = "Resume with the version of maskdata that saved it."
            _check.refuse(self._who, f"a save must be of version {VERSION}", version, remedy)

    def _restore(self) -> None:
        assert self._saved is not None
        with scope_of(self._model):
            restore_variables(variables_of(self._model), self._saved.path / VARIABLES)


def num_batches_of(saved: _directory.Saved | None) -> int | None:
    """Return the batches of an epoch, if they were counted before."""
    return None if saved is None else saved.manifest["identity"].get(NUM_BATCHES)
