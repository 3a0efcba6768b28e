"""Training that dies -> the same training, from where it was saved."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import keras
import tensorflow as tf

from maskdata._resumable._callback import History
from maskdata._resumable._directory import held, latest
from maskdata._resumable._sources import Planned, Prepare, Source, Streamed
from maskdata._resumable._training import Training, num_batches_of
from maskdata.data import _check
from maskdata.data.batch_plan import BatchPlan

WHO = "Resumable"
OURS = ("x", "y", "batch_size", "shuffle", "initial_epoch", "steps_per_epoch", "validation_split")
"""Arguments of `fit` that would say other than what was saved."""


@final
@dataclass(frozen=True)
class Resumable:
    """Train so that a process that dies costs a few steps, and changes nothing.

    Stage: (x, y, sample_weight) -> **a model in training, saved as it goes**.

    `fit` saves weights, optimizer, metrics, the state of random layers, the position in the data and
    the history together: every `save_freq` steps, after each epoch, and on SIGTERM. A save is
    there whole or not at all. The same call in a new process goes on after the last one: no batch
    comes twice and none is missing, and on one CPU the final weights are bit for bit those of training that
    was never interrupted.

    Before anything is restored, it compares what was saved with what it is given: the versions, the pipeline,
    the rows or the files, the variables of the model. Where they differ it refuses, because
    Keras and tf.data would go on with other batches, or crash the process.

    Args:
        directory: Where to save; a directory for each training. It holds one save, the newest.
        save_freq: How many steps from one save to the next.

    Shapes:
        in, out: those of `fit`

    Raises:
        TypeError, ValueError: When built, for a bad argument; when fitted, for a dataset of unknown
            length or that cannot be saved, for another process that trains into the directory,
            and for a save of other data, another model or other versions.

    Example:
        >>> rows = md.from_rows({"x": np.arange(6.0), "y": np.arange(6.0) * 2})
        >>> batches = rows.unbatch().batch(2).map(lambda row: (row["x"][:, None], row["y"]))
        >>> def train(epochs):
        ...     keras.utils.set_random_seed(0)
        ...     model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
        ...     model.compile("sgd", "mse")
        ...     training = md.Resumable(pathlib.Path("training"), save_freq=2)
        ...     return training.fit(model, batches, epochs=epochs, verbose=0), model
        >>> history, _ = train(epochs=1)
        >>> history, model = train(epochs=3)  # goes on with the second epoch
        >>> history.epoch, int(model.optimizer.iterations)
        ([0, 1, 2], 9)

    Source: `keras.callbacks.BackupAndRestore` of Keras 3.15, which begins an epoch again from its first batch
        with weights from the middle of it, and restores no random layer.
    """

    directory: str | os.PathLike[str]
    save_freq: int = 100

    def __post_init__(self) -> None:
        if not isinstance(self.directory, str | os.PathLike):
            must = "directory must be a path"
            _check.refuse(WHO, must, self.directory, "Pass a str.", TypeError)
        _check.integer(WHO, "save_freq", self.save_freq)

    def fit(
        self,
        model: keras.Model,
        data: BatchPlan | Callable[[int], tf.data.Dataset] | tf.data.Dataset,
        prepare: Prepare | None = None,
        *,
        epochs: int,
        **arguments: Any,
    ) -> keras.callbacks.History:
        """Train until `epochs` are done, from the last save if there is one.

        Args:
            model: The compiled model, made as it was when it was saved.
            data: A `BatchPlan`: a save holds epoch and step, and resuming reads nothing again. Or
                a function that returns the dataset of an epoch, such as `lambda epoch: rows.apply(
                md.Shuffle(20_000, seed=0, epoch=epoch))`: a save holds the state of the iterator,
                with what waits in shuffles and buckets; on one device, with the TensorFlow backend.
                Or a dataset, if its order is the same in each epoch.
            prepare: What makes the batches of `data` ready for Keras: `ToDense`, `ToKeras`.
            epochs: How many epochs in all, those before the last save included.
            **arguments: Others of `model.fit`: `validation_data`, `callbacks`, `verbose`. Callbacks are not
                saved, and see the rest of an epoch as a call of `fit` of its own.

        Returns:
            The history of all epochs, also of those trained by earlier processes.
        """
        _check.integer(WHO, "epochs", epochs)
        for name in {*OURS, "class_weight"} & set(arguments):
            remedy = (
                "The position in the data follows from `data`; weight steps with sample_weight."
            )
            _check.refuse(WHO, f"fit must not be given {name}", arguments[name], remedy, TypeError)
        steps_at_once = int(model.steps_per_execution)
        directory = Path(self.directory)
        with held(WHO, directory):
            saved = latest(directory)
            source = source_of(model, data, prepare, num_batches_of(saved))
            if source.num_batches % steps_at_once:
                must = (
                    f"steps_per_execution must divide the {source.num_batches} batches of an epoch"
                )
                remedy = "Keras would go past the end of each epoch."
                _check.refuse(WHO, must, steps_at_once, remedy)
            training = Training(WHO, directory, saved, self.save_freq, model, source)
            training.run(epochs, arguments)
        return as_keras(training.history, model)


def source_of(
    model: keras.Model, data: Any, prepare: Prepare | None, num_batches: int | None
) -> Source:
    """Return `data` as batches to which one can come back; `num_batches` is known from a save."""
    prepare = prepare or (lambda dataset: dataset)
    if isinstance(data, BatchPlan):
        return Planned(WHO, data, prepare)
    if not callable(data):
        _check.dataset(WHO, data)
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is None or strategy.num_replicas_in_sync > 1:
        must = "data must be a BatchPlan on several replicas and on other backends than TensorFlow"
        remedy = "These read ahead of training, and tf.data cannot save where training is."
        _check.refuse(WHO, must, data, remedy)
    dataset_of = data if callable(data) else lambda epoch: data
    return Streamed(WHO, lambda epoch: prepare(dataset_of(epoch)), num_batches)


def as_keras(history: History, model: keras.Model) -> keras.callbacks.History:
    """Return the history as `fit` returns it."""
    made = keras.callbacks.History()
    made.set_model(model)
    made.history = history
    made.epoch = list(range(max(map(len, history.values()), default=0)))
    return made
