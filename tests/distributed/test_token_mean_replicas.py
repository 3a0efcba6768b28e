"""TokenMean on replicas: every optimizer step is that of one device, however the rows fall."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata.layers import AttachMask
from maskdata.losses import TokenMean

CLASSES, VOCABULARY = 4, 7
# Row lengths of each batch. Keras needs a first batch that divides by the replicas.
BATCHES = {
    2: [[1, 1, 10, 9], [3, 0, 2], [30, 1, 1, 0, 0, 0], [5]],
    4: [[1, 1, 10, 9], [0, 0, 0, 40], [3, 0, 2], [5]],
}
STEP_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)


@functools.cache
def strategy(replicas):
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])


def batches(replicas):
    """Return (ids, mask, labels, weights) of every batch; padding holds garbage."""
    random = np.random.default_rng(0)
    made = []
    for lengths in BATCHES[replicas]:
        shape = len(lengths), max(lengths) + 1
        mask = np.arange(shape[1]) < np.array(lengths)[:, None]
        weights = random.uniform(0.1, 3.0, shape).astype("float32") * mask
        made.append(
            (
                random.integers(0, VOCABULARY, shape).astype("int32"),
                mask.astype("int8"),
                np.where(mask, random.integers(0, CLASSES, shape), 99).astype("int32"),
                weights,
            )
        )
    return made


def make_model(*, masked):
    keras.utils.set_random_seed(0)
    ids, mask = (keras.Input((None,), dtype=d, name=n) for d, n in [("int32", "ids"), ("int8", "mask")])
    h = keras.layers.Embedding(VOCABULARY, 8)(ids)
    if masked:
        h = AttachMask()([h, mask])
    h = keras.layers.Dense(8, activation="tanh")(h)
    return keras.Model([ids, mask], keras.layers.Dense(CLASSES, dtype="float32")(h))


def optimizer(name):
    return {"sgd": keras.optimizers.SGD(0.5), "adam": keras.optimizers.Adam(0.01)}[name]


def flat(weights):
    return np.concatenate([np.ravel(w) for w in weights])


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@functools.cache
def on_one_device(replicas, name, weighted):
    """Return the initial weights, those after each batch, and the mean loss of each batch.

    The valid steps of a batch are laid end to end: no padding, no mask, no TokenMean.
    """
    model, apply = make_model(masked=False), optimizer(name)
    after, losses = [flat(model.get_weights())], []
    for ids, mask, labels, weights in batches(replicas):
        weights = weights if weighted else mask.astype("float32")
        valid = mask != 0
        with tf.GradientTape() as tape:
            values = STEP_LOSS(labels[valid], model([ids[valid][None], mask[valid][None]])[0])
            loss = tf.math.divide_no_nan(
                tf.reduce_sum(values * weights[valid]), tf.reduce_sum(weights)
            )
        apply.apply_gradients(
            zip(tape.gradient(loss, model.trainable_weights), model.trainable_weights, strict=True)
        )
        after.append(flat(model.get_weights()))
        losses.append(float(loss))
    return after, losses


def dataset(replicas, *, weighted):
    made = [
        tf.data.Dataset.from_tensors(
            ((ids, mask), labels, weights if weighted else mask.astype("float32"))
        )
        for ids, mask, labels, weights in batches(replicas)
    ]
    return functools.reduce(tf.data.Dataset.concatenate, made)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("replicas", [2, 4])
def test_fit_makes_the_steps_of_one_device(replicas, name, masked):
    weighted = not masked
    data = dataset(replicas, weighted=weighted)
    with strategy(replicas).scope():
        model = make_model(masked=masked)
        loss = TokenMean(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.compile(optimizer(name), loss, steps_per_execution=2 if name == "adam" else 1)
    start = flat(model.get_weights())
    history = model.fit(data, verbose=0).history
    after, losses = on_one_device(replicas, name, weighted)
    error = relative_error(flat(model.get_weights()) - start, after[-1] - after[0])
    print(error)
    assert error < 1e-6
    rows = [len(lengths) for lengths in BATCHES[replicas]]
    assert history["loss"][0] == pytest.approx(np.average(losses, weights=rows), rel=1e-6)
