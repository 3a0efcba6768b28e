"""The same training on one device, on replicas and on other backends, to be compared.

`python tests/distributed/runs.py 4` prints what four replicas give: TensorFlow takes logical devices
only before its first use, and the other tests have two.
"""

import contextlib
import functools
import json
import sys

import keras
import numpy as np
import tensorflow as tf

from maskdata.compile_args import compile_args
from maskdata.layers import AttachMask
from maskdata.losses import TokenMean
from tests.passes import without_autotuning

CLASSES, VOCABULARY = 4, 7
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
# Row lengths of each batch: 2 valid steps against 19, replicas without any, the last batches
# split unevenly, and one replica gets no rows. Keras wants a first batch that divides. On one device
# rows cannot fall in other ways; there are two shapes, because XLA compiles each of them.
BATCHES = {
    1: [[1, 1, 10, 9], [10, 1, 0, 0], [3, 10, 0, 2], [5]],
    2: [[1, 1, 10, 9], [30, 1, 1, 0, 0, 0], [3, 0, 2], [5]],
    4: [[1, 1, 10, 9], [0, 0, 0, 40], [3, 0, 2], [5]],
}


@functools.cache
def strategy(replicas):
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])


def scope(replicas):
    return strategy(replicas).scope() if replicas > 1 else contextlib.nullcontext()


@functools.cache
def batches(replicas):
    """Return (ids, mask, labels, weights) of every batch; labels are illegal in padding."""
    random = np.random.default_rng(0)
    made = []
    for lengths in BATCHES[replicas]:
        shape = len(lengths), max(lengths) + 1
        mask = np.arange(shape[1]) < np.array(lengths)[:, None]
        ids = random.integers(0, VOCABULARY, shape).astype("int32")
        labels = np.where(mask, random.integers(0, CLASSES, shape), 99).astype("int32")
        weights = (random.uniform(0.1, 3.0, shape) * mask).astype("float32")
        made.append((ids, mask.astype("int8"), labels, weights))
    return made


def dataset(replicas, *, weighted, masked):
    """Return the batches for Keras; padding is told by the weights, the layers' mask, or both."""
    parts = []
    for ids, mask, labels, weights in batches(replicas):
        element = ({"ids": ids, "mask": mask}, labels)
        if weighted or not masked:
            element += (weights if weighted else mask.astype("float32"),)
        parts.append(tf.data.Dataset.from_tensors(element))
    return without_autotuning(functools.reduce(tf.data.Dataset.concatenate, parts))


def make_model(*, masked, embedding=True):
    ids = keras.Input((None,), dtype="int32", name="ids")
    mask = keras.Input((None,), dtype="int8", name="mask")
    if embedding:
        h = keras.layers.Embedding(VOCABULARY, 8)(ids)
    else:
        h = keras.layers.Dense(8)(keras.ops.one_hot(ids, VOCABULARY))
    if masked:
        h = AttachMask()([h, mask])
    h = keras.layers.Dense(8, activation="tanh")(h)
    model = keras.Model({"ids": ids, "mask": mask}, keras.layers.Dense(CLASSES)(h))
    random = np.random.default_rng(0)  # and not Keras' own, which differs between backends
    model.set_weights([random.normal(size=w.shape) for w in model.get_weights()])
    return model


def make_optimizer(name):
    return {"sgd": keras.optimizers.SGD(0.5), "adam": keras.optimizers.Adam(0.01)}[name]


def flat(model):
    return np.concatenate([np.ravel(w) for w in model.get_weights()])


@functools.cache
def truth(replicas, optimizer, *, weighted, embedding=True):
    """Return the change of the weights over all batches, the log, and the loss of each batch.

    One device, no TokenMean, no mask: the valid steps of a batch lie end to end in one row.
    """
    model, apply = make_model(masked=False, embedding=embedding), make_optimizer(optimizer)
    start, means, all_losses, all_weights, hits = flat(model), [], [], [], []
    for ids, mask, labels, weights in batches(replicas):
        valid = mask != 0
        weights = weights[valid] if weighted else np.ones(valid.sum(), "float32")
        with tf.GradientTape() as tape:
            logits = model({"ids": ids[valid][None], "mask": mask[valid][None]})[0]
            losses = LOSS(labels[valid], logits)
            loss = tf.reduce_sum(losses * weights) / weights.sum()
        variables = model.trainable_variables
        apply.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        means.append(float(loss))
        all_losses.append(losses.numpy())
        all_weights.append(weights)
        hits.append(logits.numpy().argmax(axis=-1) == labels[valid])
    log = {
        # Keras weighs the loss of a batch by its rows.
        "loss": np.average(means, weights=[len(lengths) for lengths in BATCHES[replicas]]),
        "token_loss": np.average(np.concatenate(all_losses), weights=np.concatenate(all_weights)),
        "accuracy": np.mean(np.concatenate(hits)),
    }
    return flat(model) - start, log, means


def fit(replicas, optimizer, *, weighted, masked, embedding=True, policy="float32", **how):
    """Return the change of the weights over one epoch, and its log."""
    keras.config.set_dtype_policy(policy)
    try:
        with scope(replicas):
            model = make_model(masked=masked, embedding=embedding)
            arguments = compile_args(LOSS, metrics=["accuracy"])
            model.compile(make_optimizer(optimizer), **arguments, **how)
    finally:
        keras.config.set_dtype_policy("float32")
    start = flat(model)
    data = dataset(replicas, weighted=weighted, masked=masked)
    history = model.fit(data, verbose=0).history
    return flat(model) - start, {name: values[0] for name, values in history.items()}


def relative_errors(actual, expected):
    """Return how far the change of the weights and each number of a log are off."""
    (change, log), (true_change, true_log, *_) = actual, expected
    errors = {name: float(abs(log[name] - value) / value) for name, value in true_log.items()}
    difference = np.linalg.norm(np.array(change) - true_change)
    return errors | {"weights": float(difference / np.linalg.norm(true_change))}


def in_loop(replicas, optimizer, run):
    """Return the change of the weights over a custom training loop, and the loss of each batch.

    `run(strategy, step, iterator, steps)` calls the step on the replicas, once for each batch.
    There is no Embedding: in a loop inside a graph, TensorFlow 2.21 cannot add up the sparse
    gradients of replicas that have unequal numbers of ids.
    """
    with scope(replicas):
        model, apply = make_model(masked=True, embedding=False), make_optimizer(optimizer)
        apply.build(model.trainable_variables)
    start, loss = flat(model), TokenMean(LOSS)

    def step(element):
        x, labels = element
        with tf.GradientTape() as tape:
            value = loss(labels, model(x))
        variables = model.trainable_variables
        apply.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))
        return value

    data = dataset(replicas, weighted=False, masked=True)
    iterator = iter(strategy(replicas).experimental_distribute_dataset(data))
    losses = run(strategy(replicas), step, iterator, len(BATCHES[replicas]))
    return flat(model) - start, np.array(losses)


def one_step_at_a_time(strategy, step, iterator, steps):
    step = tf.function(step, reduce_retracing=True)
    elements = (next(iterator) for _ in range(steps))
    return [strategy.reduce("SUM", strategy.run(step, (element,)), None) for element in elements]


def many_steps_at_a_time(strategy, step, iterator, steps):
    @tf.function
    def all_steps(iterator):
        losses = tf.TensorArray(tf.float32, steps)
        for i in tf.range(steps):
            value = strategy.run(step, (next(iterator),))
            losses = losses.write(i, strategy.reduce("SUM", value, None))
        return losses.stack()

    return all_steps(iterator)


HOW = {
    "sgd, mask as weights": {"optimizer": "sgd", "weighted": False, "masked": False},
    "adam, mask and weights": {"optimizer": "adam", "weighted": True, "masked": True},
}


def main(replicas):
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * replicas
    tf.config.set_logical_device_configuration(cpu, devices)
    results = {name: fit(replicas, **how) for name, how in HOW.items()}
    results = {name: (change.tolist(), log) for name, (change, log) in results.items()}
    print(json.dumps(results))  # noqa: T201  the test reads it


if __name__ == "__main__":
    main(int(sys.argv[1]))
