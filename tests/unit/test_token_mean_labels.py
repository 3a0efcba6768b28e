"""TokenMean with labels to ignore and weights of classes, alone and together with masks."""

import keras
import numpy as np
import pytest

from maskdata.losses import TokenMean
from tests.invariance.padding import value_and_gradient

RANDOM = np.random.default_rng(0)
CLASSES = 3
LABELS = RANDOM.integers(0, CLASSES, (4, 5))
LABELS[0, :3] = 0, 1, 2  # each at least once
ONE_HOT = np.eye(CLASSES, dtype="float32")[LABELS]
BITS = RANDOM.integers(0, 2, (4, 5, 1)).astype("float32")
NUMBERS = RANDOM.normal(size=(4, 5, CLASSES)).astype("float32")
LOGITS = RANDOM.normal(size=(4, 5, CLASSES)).astype("float32")
LOGIT = LOGITS[..., :1]
MASK = np.arange(5) < np.array([5, 3, 0, 2])[:, None]
WEIGHTS = RANDOM.uniform(0.5, 3.0, (4, 5)).astype("float32")
GAP = [9.0, 9.0, -9.0]

sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
one_hot = keras.losses.CategoricalCrossentropy(from_logits=True)
binary = keras.losses.BinaryCrossentropy(from_logits=True)


def squared(y_true, y_pred):
    return keras.ops.mean((y_true - y_pred) ** 2, axis=-1)


def with_gaps(numbers, filling):
    numbers = numbers.copy()
    numbers[LABELS == 1] = filling
    return numbers


IGNORED = {  # loss, labels, predictions, ignore_value, steps that it leaves
    "class": (sparse, LABELS, LOGITS, 1, LABELS != 1),
    "class with a last axis": (sparse, LABELS[..., None], LOGITS, 1, LABELS != 1),
    "illegal class": (sparse, with_gaps(LABELS, -100), LOGITS, -100, LABELS != 1),
    "class of a one-hot label": (one_hot, ONE_HOT, LOGITS, 2, LABELS != 2),
    "class of a soft label": (one_hot, 0.9 * ONE_HOT + 0.03, LOGITS, 2, LABELS != 2),
    "one-hot label": (one_hot, ONE_HOT, LOGITS, [0, 0, 1], LABELS != 2),
    "one-hot label of a function": (squared, ONE_HOT, LOGITS, 0, LABELS != 0),
    "bit": (binary, BITS, LOGIT, 0, BITS[..., 0] == 1),
    "number": ("mse", with_gaps(BITS, 7.5), LOGIT, 7.5, LABELS != 1),
    "NaN": ("mse", with_gaps(BITS, np.nan), LOGIT, np.nan, LABELS != 1),
    "numbers": ("mse", with_gaps(NUMBERS, GAP), LOGITS, GAP, LABELS != 1),
    "NaNs": ("mse", with_gaps(NUMBERS, np.nan), LOGITS, [np.nan] * 3, LABELS != 1),
}


@pytest.mark.parametrize("told_by", ["nothing else", "mask", "weights", "mask and weights"])
@pytest.mark.parametrize("case", IGNORED)
def test_labels_to_ignore(case, told_by):
    loss, y_true, y_pred, ignore_value, valid = IGNORED[case]
    mask = MASK if "mask" in told_by else None
    weights = WEIGHTS if "weights" in told_by else np.ones_like(WEIGHTS)
    value, gradient = value_and_gradient(
        TokenMean(loss, ignore_value=ignore_value),
        y_true,
        y_pred,
        WEIGHTS if "weights" in told_by else None,
        mask,
    )
    weights = weights * valid * (1 if mask is None else mask)
    expected_value, expected_gradient = value_and_gradient(TokenMean(loss), y_true, y_pred, weights)
    assert 0 < value == pytest.approx(expected_value, rel=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-6)
    assert (gradient[~valid] == 0).all()


def test_a_row_without_a_one_has_no_class_to_ignore():
    loss = TokenMean(one_hot, ignore_value=0)
    labels = np.zeros((1, 2, CLASSES), "float32")
    labels[0, 0, 0] = 1
    ignored = loss(labels, LOGITS[:1, :2])
    assert ignored.numpy() == one_hot(labels[0, 1:], LOGITS[0, 1:2]).numpy() == 0
    assert loss(labels * 0 + [0, 1, 0], LOGITS[:1, :2]).numpy() > 0


CLASS_WEIGHT = {0: 0.25, 2: 5}
WEIGHTED = {  # loss, labels, predictions, class number of each step
    "classes": (sparse, LABELS, LOGITS, LABELS),
    "classes with a last axis": (sparse, LABELS[..., None], LOGITS, LABELS),
    "one-hot": (one_hot, ONE_HOT, LOGITS, LABELS),
    "soft labels": (one_hot, 0.9 * ONE_HOT + 0.03, LOGITS, LABELS),
    "bits": (binary, BITS, LOGIT, BITS[..., 0]),
    "a function": (squared, ONE_HOT, LOGITS, LABELS),
}


@pytest.mark.parametrize("told_by", ["nothing else", "mask", "weights", "mask and weights"])
@pytest.mark.parametrize("case", WEIGHTED)
def test_weights_of_classes_multiply_into_the_weights(case, told_by):
    loss, y_true, y_pred, classes = WEIGHTED[case]
    mask = MASK if "mask" in told_by else None
    if mask is not None and "soft" not in case:
        y_true = np.where(MASK.reshape(MASK.shape + (1,) * (y_true.ndim - 2)), y_true, np.nan)
    value, gradient = value_and_gradient(
        TokenMean(loss, class_weight=CLASS_WEIGHT),
        y_true,
        y_pred,
        WEIGHTS if "weights" in told_by else None,
        mask,
    )
    weights = np.vectorize(lambda label: CLASS_WEIGHT.get(label, 1.0))(classes)
    weights = weights * (WEIGHTS if "weights" in told_by else 1) * (1 if mask is None else mask)
    expected_value, expected_gradient = value_and_gradient(TokenMean(loss), y_true, y_pred, weights)
    assert value == pytest.approx(expected_value, rel=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-8)


def test_a_class_of_weight_zero_is_never_looked_at():
    y_pred = np.where(LABELS[..., None] == 1, np.nan, LOGITS)
    value, gradient = value_and_gradient(TokenMean(sparse, class_weight={1: 0}), LABELS, y_pred)
    expected, _ = value_and_gradient(TokenMean(sparse, ignore_value=1), LABELS, LOGITS)
    assert value == pytest.approx(expected)
    assert (gradient[LABELS == 1] == 0).all()


def test_weights_and_labels_to_ignore_together():
    loss = TokenMean(sparse, ignore_value=1, class_weight=CLASS_WEIGHT)
    weights = np.choose(LABELS, [0.25, 0, 5])
    assert loss(LABELS, LOGITS).numpy() == pytest.approx(
        TokenMean(sparse)(LABELS, LOGITS, weights).numpy()
    )


def test_equal_weights_of_all_classes_change_nothing():
    loss = TokenMean(sparse, class_weight={0: 7, 1: 7, 2: 7})
    assert loss(LABELS, LOGITS).numpy() == pytest.approx(TokenMean(sparse)(LABELS, LOGITS).numpy())


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_options_survive_saving_a_model(tmp_path):
    model = keras.Sequential([keras.Input((None, CLASSES)), keras.layers.Dense(CLASSES)])
    model.compile("sgd", TokenMean(sparse, ignore_value=1, class_weight=CLASS_WEIGHT))
    before = model.evaluate(LOGITS, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert repr(again.loss) == repr(model.loss)
    assert again.evaluate(LOGITS, LABELS, verbose=0) == before
