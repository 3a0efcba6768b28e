"""TokenWise on replicas: `fit` and `evaluate` give the metrics of one device."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata.compile_args import compile_args
from tests.distributed import runs

CLASSES = 4
METRICS = [
    lambda: keras.metrics.AUC(name="auc"),
    lambda: keras.metrics.F1Score(average="macro"),  # makes its variables late
    lambda: "categorical_crossentropy",
]


def dataset():
    random = np.random.default_rng(0)
    parts = []
    for lengths in runs.BATCHES[2]:
        mask = np.arange(max(lengths) + 1) < np.array(lengths)[:, None]
        x = random.normal(size=(*mask.shape, 3)).astype("float32")
        y = np.eye(CLASSES, dtype="float32")[random.integers(0, CLASSES, mask.shape)]
        y[~mask] = np.nan
        weights = (random.uniform(0.1, 3.0, mask.shape) * mask).astype("float32")
        parts.append(tf.data.Dataset.from_tensors((x, y, weights)))
    return functools.reduce(tf.data.Dataset.concatenate, parts)


def logs(replicas):
    with runs.scope(replicas):
        inputs = keras.Input((None, 3))
        model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(inputs))
        model.set_weights([np.random.default_rng(0).normal(size=(3, CLASSES)), np.zeros(CLASSES)])
        arguments = compile_args(
            "categorical_crossentropy",
            metrics=[keras.metrics.OneHotMeanIoU(CLASSES, name="iou")],  # counts in integers
            weighted_metrics=[make() for make in METRICS],
        )
        model.compile("sgd", **arguments)
    history = model.fit(dataset(), validation_data=dataset(), verbose=0).history
    return {name: value for name, [value] in history.items()}


def test_fit_and_evaluate_on_two_replicas_give_the_metrics_of_one_device():
    one, two = logs(1), logs(2)
    assert len(one) == 2 * (len(METRICS) + 3)
    assert two == {name: pytest.approx(value, rel=1e-5) for name, value in one.items()}
    # The loss that Keras logs weighs batches by rows; the metric that Keras has of it agrees.
    for log in (one, two):
        assert log["token_loss"] == pytest.approx(log["categorical_crossentropy"], rel=1e-6)
        assert log["loss"] != pytest.approx(log["token_loss"], rel=1e-3)
