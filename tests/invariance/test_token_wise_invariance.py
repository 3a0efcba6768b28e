"""Padding and batching never change a TokenWise metric, nor a TokenLoss."""

import functools
from itertools import pairwise

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskdata.layers import AttachMask
from maskdata.metrics import TokenLoss, TokenWise
from tests.invariance.padding import pad

CLASSES = 4
metrics = keras.metrics
METRICS = {  # the metric, and the Keras metric of its unpadded steps
    "accuracy": lambda: (TokenWise("accuracy"), metrics.SparseCategoricalAccuracy()),
    "top-k": lambda: (
        TokenWise(metrics.SparseTopKCategoricalAccuracy(2)),
        metrics.SparseTopKCategoricalAccuracy(2),
    ),
    "loss as a metric": lambda: (
        TokenWise("sparse_categorical_crossentropy"),
        metrics.SparseCategoricalCrossentropy(),
    ),
    "TokenLoss": lambda: (
        TokenLoss("sparse_categorical_crossentropy"),
        metrics.SparseCategoricalCrossentropy(),
    ),
    "AUC": lambda: (TokenWise("AUC"), metrics.AUC()),
    "Precision": lambda: (TokenWise(metrics.Precision(0.3)), metrics.Precision(0.3)),
    "F1Score": lambda: (TokenWise("F1Score"), metrics.F1Score()),
    "RootMeanSquaredError": lambda: (
        TokenWise("RootMeanSquaredError"),
        metrics.RootMeanSquaredError(),
    ),
    "MeanIoU": lambda: (
        TokenWise(metrics.MeanIoU(CLASSES, sparse_y_pred=False, dtype="float32")),
        metrics.MeanIoU(CLASSES, sparse_y_pred=False, dtype="float32"),
    ),
}
ON_CLASSES = ("accuracy", "top-k", "loss as a metric", "TokenLoss", "MeanIoU")


@functools.cache
def make(name):
    """Return the metric and Keras' own; some make their variables only when first updated."""
    pair = METRICS[name]()
    for metric in pair:
        row = random_rows(name, [1], 0, weighted=False)[0]
        metric.update_state(*(values.astype("float32") for values in row))
    return pair


row_lengths = st.lists(st.integers(0, 6), min_size=1, max_size=6)
junk = st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -1.0, 99.0])


def random_rows(name, lengths, seed, *, weighted):
    """Return the labels, predictions and weights of each row, unpadded."""
    random = np.random.default_rng(seed)
    rows = []
    for length in lengths:
        labels = random.integers(0, CLASSES, length)
        labels = labels if name in ON_CLASSES else np.eye(CLASSES)[labels]
        weights = random.choice([0.0, 0.25, 1.0, 3.0], length) if weighted else np.ones(length)
        rows.append((labels, random.dirichlet(np.ones(CLASSES), length), weights))
    return rows


def update(metric, rows, length, filling, told_by):
    y_true, y_pred, weights = (pad(parts, length, filling) for parts in zip(*rows, strict=True))
    mask = np.arange(length) < np.array([len(labels) for labels, _, _ in rows])[:, None]
    if "mask" in told_by:
        y_pred = AttachMask()([keras.ops.convert_to_tensor(y_pred), mask])
    if "weights" in told_by:
        metric.update_state(y_true, y_pred, np.where(mask, weights, 0))
    else:
        metric.update_state(y_true, y_pred)


def check_that_batches_do_not_matter(name, lengths, cuts, extra, filling, told_by, seed):
    metric, stock = make(name)
    metric.reset_state()
    stock.reset_state()
    rows = random_rows(name, lengths, seed, weighted="weights" in told_by)
    bounds = sorted({0, len(rows), *(cut % len(rows) for cut in cuts)})
    for start, stop in pairwise(bounds):
        longest = max(len(labels) for labels, _, _ in rows[start:stop])
        update(metric, rows[start:stop], max(1, longest + extra), filling, told_by)
    y_true, y_pred, weights = (
        np.concatenate(parts).astype("float32") for parts in zip(*rows, strict=True)
    )
    if len(weights):
        stock.update_state(y_true, y_pred, sample_weight=weights)
    np.testing.assert_allclose(metric.result(), stock.result(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", METRICS)
@given(
    lengths=row_lengths,
    cuts=st.lists(st.integers(0, 5), max_size=3),
    extra=st.integers(0, 4),
    filling=junk,
    told_by=st.sampled_from(["mask", "weights", "mask and weights"]),
    seed=st.integers(0, 2**16),
)
def test_batches_and_padding_do_not_matter(name, lengths, cuts, extra, filling, told_by, seed):
    check_that_batches_do_not_matter(name, lengths, cuts, extra, filling, told_by, seed)
