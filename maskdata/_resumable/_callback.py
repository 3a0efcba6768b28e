"""A model in training -> saves: every so many steps, after each epoch, and when the process must stop."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

History = dict[str, list[Any]]


class SaveCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Knows the position in the data, and says when to save it.

    Args:
        save: Saves; called with the model, and with epoch and step of the next batch.
        num_batches: The batches of an epoch.
        save_freq: Steps from one save to the next.
        epoch, step: The first batch.
        metrics: The values of the metrics when `step` batches of the epoch were read.
        history: The logs of the epochs before; those of each new one are added.
    """

    def __init__(
        self,
        save: Callable[[keras.Model, int, int], None],
        *,
        num_batches: int,
        save_freq: int,
        epoch: int,
        step: int,
        metrics: list[Any],
        history: History,
    ) -> None:
        super().__init__()
        self._save, self._num_batches, self._save_freq = save, num_batches, save_freq
        self._epoch, self._first_step, self._metrics = epoch, step, metrics
        self._saved_step = step
        self._history = history
        self._must_stop = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        if self._first_step:  # `fit` has just set the metrics back
            for variable, value in zip(self.model.metrics_variables, self._metrics, strict=True):
                variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self._first_step + batch + 1
        is_due = step - self._saved_step >= self._save_freq or self._must_stop
        if is_due and step < self._num_batches:  # the end is saved with its logs
            # The model of a callback has the values of its variables on every backend.
            self._save(self.model, self._epoch, step)
            self._saved_step = step
            self._stop_if_must()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(np.asarray(value).tolist())
        self._first_step = self._saved_step = 0
        self._save(self.model, epoch + 1, 0)
        self._stop_if_must()

    @contextlib.contextmanager
    def stopping_only_when_saved(self) -> Iterator[None]:
        """Let SIGTERM wait for the end of a step, save, and only then do what it does."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread can handle signals
            return
        before = signal.signal(signal.SIGTERM, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
            if self._must_stop:
                signal.raise_signal(signal.SIGTERM)

    def _note(self, *_: Any) -> None:
        self._must_stop = True

    def _stop_if_must(self) -> None:
        if self._must_stop:
            raise SystemExit(128 + signal.SIGTERM)
