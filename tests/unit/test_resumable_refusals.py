"""Resumable: every refusal of a dataset or an argument, with its words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from tests.laws.resumable_runs import SOURCES, build_model


def other_model() -> keras.Model:
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def generated() -> tf.data.Dataset:
    spec = tf.TensorSpec([2, 1], tf.float32)
    return tf.data.Dataset.from_generator(
        lambda: iter([(np.ones([2, 1]), np.ones([2, 1]))]), output_signature=(spec, spec)
    )


def numbers() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((np.ones([6, 1]), np.ones([6, 1])))


REFUSED: list[tuple[Callable[[], Any], dict[str, Any], type[Exception], str]] = [
    (numbers().shuffle(6, seed=1).batch, {}, ValueError, "the order must not depend on how often the dataset was read, .*Pass a function of the epoch"),
    (lambda _: generated(), {}, ValueError, "the pipeline must not call Python functions"),
    (lambda _: numbers().batch(2).repeat(), {}, ValueError, "CountBatches: the dataset must have an end"),
    (lambda _: numbers().batch(2).map(lambda x, y: (x * tf.random.uniform([], dtype=x.dtype), y)), {}, ValueError, r"Resumable: tf.data must be able to save where it is in the data, got .*stateful"),
    (lambda _: [1, 2], {}, TypeError, "Resumable"),
    (numbers().batch, {"steps_per_epoch": 3}, TypeError, "Resumable: fit must not be given steps_per_epoch, got 3. The position"),
    (numbers().batch, {"epochs": 0}, ValueError, "Resumable: epochs must be at least 1, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "arguments", "error", "match"), REFUSED)
def test_refused(data: Any, arguments: Any, error: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=match):
        md.Resumable(tmp_path).fit(other_model(), data(2), **{"epochs": 1} | arguments)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"Resumable: directory must be a path, got 3. Pass a str."):
        md.Resumable(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Resumable: save_freq must be at least 1, got 0"):
        md.Resumable("d", save_freq=0)


def test_a_prepare_that_leaves_batches_out_is_refused(tmp_path: Path) -> None:
    plan, prepare = SOURCES["BatchPlan"]()
    with pytest.raises(ValueError, match="prepare must keep the 9 batches of the plan, got 2"):
        md.Resumable(tmp_path).fit(build_model(), plan, lambda d: prepare(d).take(2), epochs=1)


def test_a_dataset_is_refused_on_replicas(tmp_path: Path) -> None:
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = other_model()
    with pytest.raises(ValueError, match="data must be a BatchPlan on several replicas"):
        md.Resumable(tmp_path).fit(model, numbers().batch(2), epochs=1)
