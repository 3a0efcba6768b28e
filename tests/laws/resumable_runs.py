"""Trainings in processes of their own, which are killed."""

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import maskdata as md
from maskdata._resumable._model_state import variables_of
from maskdata.data import _atomic
from tests.passes import without_autotuning

EPOCHS = 4
DEATHS = ("SIGKILL", "in the files", "SIGTERM", "before the old one is deleted")


def rows() -> tf.data.Dataset:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 9, 61)
    ids = tf.RaggedTensor.from_row_lengths(random.integers(0, 20, lengths.sum()), lengths)
    return md.from_rows({"ids": ids, "tags": ids % 3}, block_size=10)


def planned() -> tuple[md.BatchPlan, Callable[..., Any]]:
    plan = md.BatchPlan(rows(), ["ids", "tags"], num_buckets=3, batch_size=8, seed=1)
    return plan, md.Chain(md.ToDense(lengths=plan.buckets.lengths), to_keras(), without_autotuning)


def streamed() -> tuple[Callable[[int], tf.data.Dataset], Callable[..., Any]]:
    prepare = md.Chain(
        md.BucketBySequenceLength("ids", [3, 6], [8, 8, 8]),
        md.ToDense(),
        to_keras(),
        without_autotuning,
    )
    return (
        lambda epoch: rows().apply(md.Shuffle(20, seed=3, epoch=epoch)),
        lambda dataset: prepare(dataset).prefetch(2),
    )


def to_keras() -> md.ToKeras:
    return md.ToKeras(x=["ids", "ids_mask"], y="tags", sample_weight="tags_mask")


SOURCES: dict[str, Callable[[], tuple[Any, Any]]] = {"BatchPlan": planned, "dataset": streamed}


@keras.saving.register_keras_serializable("tests")
class Noise(keras.layers.Layer):
    """Draws from the generator that Keras has for layers without a seed."""

    def call(self, x: Any) -> Any:
        return x + 0.01 * keras.random.normal(keras.ops.shape(x))


def build_model(*, unseeded_noise: bool = True) -> keras.Model:
    keras.utils.set_random_seed(7)
    ids = keras.Input([None], dtype="int64", name="ids")
    mask = keras.Input([None], dtype="int8", name="ids_mask")
    h = md.layers.AttachMask()([keras.layers.Embedding(20, 6)(ids), mask])
    h = keras.layers.Dropout(0.4)(h)
    h = md.layers.KeepMask(Noise())(h) if unseeded_noise else h
    # Two weights are trained: each more is more of Adam to trace, in each process anew.
    h = keras.layers.BatchNormalization(center=False, scale=False)(h)
    model = keras.Model([ids, mask], keras.layers.Dense(3, use_bias=False)(h))
    model.compile(
        keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9),
        **md.compile_args(keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    )
    return model


class SignalAt(keras.callbacks.Callback):
    """Sends this process a signal at the end of a step, before it is saved."""

    def __init__(self, step: int, number: signal.Signals) -> None:
        super().__init__()
        self.step, self.number = step, number

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(self.model.optimizer.iterations) >= self.step:
            os.kill(os.getpid(), self.number)


def die_when(is_time: Callable[[Path], bool]) -> None:
    """Kill this process when it waits for a path to be on the disk, at the time told."""
    sync = _atomic.sync

    def dying(path: Path) -> None:
        if is_time(path):
            os.kill(os.getpid(), signal.SIGKILL)
        sync(path)

    _atomic.sync = dying


def train(source: str, directory: Path, result: Path, how: str | None, step: int) -> None:
    """Train until the end, or until killed; write down what came out.

    Args:
        source: One of `SOURCES`.
        directory: Where to save.
        result: Where to write.
        how: What kills it: a signal at the end of `step`; or a kill in its first save, while
            files are written, or when the new save has its name and the old one is still there.
        step: At the end of which step.
    """
    # Grappler, which the tests have off, would take 0.3 seconds of each life.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    callbacks = []
    match how:
        case "SIGKILL" | "SIGTERM":
            callbacks = [SignalAt(step, signal.Signals[how])]
        case "in the files":
            die_when(lambda path: path.name == "variables.npz")
        case "before the old one is deleted":
            die_when(lambda path: path == directory)
    model = build_model()
    history = md.Resumable(directory, save_freq=3).fit(
        model, *SOURCES[source](), epochs=EPOCHS, verbose=0, callbacks=callbacks
    )
    result.write_text(f"{digest_of(model)} {history.history}")


def digest_of(model: keras.Model) -> str:
    """Return a hash of the bits of all that training changes."""
    return hashlib.sha256(b"".join(v.numpy().tobytes() for v in variables_of(model))).hexdigest()
