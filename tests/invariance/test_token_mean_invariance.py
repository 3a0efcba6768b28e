"""Padding and batching never change a TokenMean, nor its gradients."""

from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from maskdata.layers import AttachMask
from maskdata.losses import TokenMean
from tests.invariance.padding import pad, value_and_gradient

CLASSES = 4
LOSSES = {
    "classes": TokenMean(keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    "ignored classes": TokenMean(
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1)
    ),
    "numbers": TokenMean("mse"),
    "one number": TokenMean(keras.losses.BinaryCrossentropy(from_logits=True)),
    "angles": TokenMean("cosine_similarity"),
}

row_lengths = st.lists(st.integers(0, 6), min_size=1, max_size=5)
junk = st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -1.0, 99.0])
seeds = st.integers(0, 2**16)


def random_rows(kind, lengths, seed):
    """Return the labels, predictions and weights of each row, unpadded."""
    random = np.random.default_rng(seed)
    rows = []
    for length in lengths:
        features = 1 if kind == "one number" else CLASSES
        y_pred = random.normal(size=(length, features))
        if "classes" in kind:
            y_true = random.integers(0, CLASSES, length)
        elif kind == "one number":
            y_true = random.integers(0, 2, (length, 1))
        else:
            y_true = random.normal(size=(length, features))
        weights = random.choice([0.0, 0.25, 1.0, 3.0], length)
        rows.append([x.astype("float32") for x in (y_true, y_pred, weights)])
    return rows


def on_one_unpadded_row(kind, rows, *, weighted):
    """Return value and gradient of all rows laid end to end: one row without any padding."""
    y_true, y_pred, weights = (np.concatenate(parts)[None] for parts in zip(*rows, strict=True))
    weights = weights if weighted else np.ones_like(weights)
    step_loss = LOSSES[kind]
    y_pred = tf.constant(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        values = step_loss.call(tf.constant(y_true), y_pred)
        if kind == "ignored classes":
            weights = weights * (y_true != 1)
        value = tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.reduce_sum(weights))
    return value.numpy(), tape.gradient(value, y_pred).numpy()[0]


@pytest.mark.parametrize("kind", LOSSES)
@given(
    lengths=row_lengths,
    extra=st.integers(0, 4),
    filling=junk,
    by=st.sampled_from(["mask", "weights", "both"]),
    weighted=st.booleans(),
    seed=seeds,
)
def test_padding_counts_nowhere(kind, lengths, extra, filling, by, weighted, seed):
    rows = random_rows(kind, lengths, seed)
    padded_length = max(1, max(lengths) + extra)
    mask = np.arange(padded_length) < np.array(lengths)[:, None]
    y_true, y_pred, weights = (
        pad(parts, padded_length, filling) for parts in zip(*rows, strict=True)
    )
    if not weighted:
        weights = mask.astype("float32")
    if by == "weights":
        weights = np.where(mask, weights, 0)
    value, gradient = value_and_gradient(
        LOSSES[kind],
        y_true,
        y_pred,
        sample_weight=None if by == "mask" and not weighted else weights,
        mask=None if by == "weights" else mask,
    )
    expected_value, expected_gradient = on_one_unpadded_row(kind, rows, weighted=weighted)
    np.testing.assert_allclose(value, expected_value, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient[mask], expected_gradient, rtol=1e-6, atol=1e-6)
    assert (gradient[~mask] == 0).all()


@given(lengths=row_lengths, cut=st.integers(0, 5), factor=st.sampled_from([0.5, 3.0]), seed=seeds)
def test_batches_weighed_by_their_weights_make_up_the_whole(lengths, cut, factor, seed):
    rows = random_rows("classes", lengths, seed)
    loss, total, total_weight = LOSSES["classes"], 0.0, 0.0
    for start, stop in pairwise(sorted({0, min(cut, len(rows)), len(rows)})):
        batch = rows[start:stop]
        length = max(1, *(len(labels) for labels, _, _ in batch), 1)
        y_true, y_pred, weights = (pad(parts, length, 0) for parts in zip(*batch, strict=True))
        value = loss(y_true, y_pred, weights * factor).numpy()  # only proportions count
        total, total_weight = total + value * weights.sum(), total_weight + weights.sum()
    expected, _ = on_one_unpadded_row("classes", rows, weighted=True)
    assert total / (total_weight or 1) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def make_tagger():
    keras.utils.set_random_seed(0)
    features, mask = keras.Input((None, 3)), keras.Input((None,), dtype="int8")
    h = AttachMask()([keras.layers.Dense(4)(features), mask])
    h = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))(h)
    return keras.Model([features, mask], keras.layers.Dense(CLASSES)(h))


@pytest.fixture(scope="module")
def loss_and_gradients():
    model = make_tagger()

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, 3)),
            tf.TensorSpec((None, None), tf.int8),
            tf.TensorSpec((None, None), tf.int32),
        ]
    )
    def compute(features, mask, y_true):
        with tf.GradientTape() as tape:
            value = LOSSES["classes"](y_true, model([features, mask]))
        return value, tape.gradient(value, model.trainable_variables)

    return compute


@given(lengths=row_lengths, extra=st.integers(0, 4), seed=seeds)
def test_the_gradients_of_a_model_are_those_of_its_rows_alone(
    loss_and_gradients, lengths, extra, seed
):
    random = np.random.default_rng(seed)
    rows = [(random.normal(size=(n, 3)), random.integers(0, CLASSES, n)) for n in lengths]
    length = max(1, max(lengths) + extra)
    features = pad([row for row, _ in rows], length, 7)
    y_true = pad([labels for _, labels in rows], length, -1).astype("int32")
    mask = (np.arange(length) < np.array(lengths)[:, None]).astype("int8")
    value, gradients = loss_and_gradients(features, mask, y_true)

    share = [n / max(1, sum(lengths)) for n in lengths]
    alone = [
        loss_and_gradients(row[None], np.ones((1, n), "int8"), labels[None])
        for n, (row, labels) in zip(lengths, rows, strict=True)
        if n
    ]
    weights = [part for part in share if part]
    expected = sum(part * v for part, (v, _) in zip(weights, alone, strict=True))
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)
    for i, gradient in enumerate(gradients):
        expected = sum(part * g[i] for part, (_, g) in zip(weights, alone, strict=True))
        np.testing.assert_allclose(gradient, expected + 0 * gradient, rtol=1e-4, atol=1e-6)


def test_keras_itself_depends_on_the_padding():
    # What TokenMean is for; when this fails, Keras has changed.
    y_true, y_pred, weights = [np.ones((1, 3)), np.zeros((1, 3, 1)), np.array([[1.0, 1.0, 0.0]])]
    loss = keras.losses.MeanSquaredError()
    assert loss(y_true[..., None], y_pred, weights).numpy() == pytest.approx(2 / 3)
    assert TokenMean("mse")(y_true[..., None], y_pred, weights).numpy() == 1
