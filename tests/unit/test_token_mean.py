"""TokenMean: hand-computed means, and every loss of Keras against its unpadded steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata.layers import AttachMask
from maskdata.losses import TokenMean

LENGTHS = [3, 1, 0, 2]
MASK = np.arange(4) < np.array(LENGTHS)[:, None]  # B = 4 rows, L = 4 steps
RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.normal(size=(4, 4, 5)).astype("float32")
PROBABILITIES = (RANDOM.dirichlet(np.ones(5), size=(4, 4)) * 0.9 + 0.02).astype("float32")
CLASSES = RANDOM.integers(0, 5, (4, 4))
ONE_HOT = np.eye(5, dtype="float32")[CLASSES]
WEIGHTS = RANDOM.uniform(0.5, 3.0, (4, 4)).astype("float32")

losses = keras.losses
EVERY_LOSS = {
    "binary_crossentropy": (ONE_HOT, PROBABILITIES),
    "BinaryFocalCrossentropy": (ONE_HOT, PROBABILITIES),
    "categorical_crossentropy": (ONE_HOT, PROBABILITIES),
    "CategoricalFocalCrossentropy": (ONE_HOT, PROBABILITIES),
    "categorical_hinge": (ONE_HOT, NUMBERS),
    "CosineSimilarity": (NUMBERS, PROBABILITIES),
    "hinge": (ONE_HOT, NUMBERS),
    "huber": (NUMBERS, PROBABILITIES),
    "KLDivergence": (PROBABILITIES[::-1], PROBABILITIES),
    "log_cosh": (NUMBERS, PROBABILITIES),
    "mae": (NUMBERS, PROBABILITIES),
    "mape": (NUMBERS, PROBABILITIES),
    "mse": (NUMBERS, PROBABILITIES),
    "msle": (PROBABILITIES[::-1], PROBABILITIES),
    "poisson": (ONE_HOT, PROBABILITIES),
    "sparse_categorical_crossentropy": (CLASSES, PROBABILITIES),
    "squared_hinge": (ONE_HOT * 2 - 1, NUMBERS),
    losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1): (ONE_HOT, NUMBERS),
    losses.CategoricalCrossentropy(from_logits=True): (ONE_HOT, NUMBERS),
    losses.CategoricalGeneralizedCrossEntropy(q=0.3): (CLASSES, PROBABILITIES),
    losses.Huber(delta=0.1, reduction="sum"): (NUMBERS, PROBABILITIES),
    losses.SparseCategoricalCrossentropy(from_logits=True): (CLASSES[..., None], NUMBERS),
    losses.SparseCategoricalCrossentropy(ignore_class=2): (CLASSES, PROBABILITIES),
    losses.mean_squared_error: (NUMBERS, PROBABILITIES),
}


def masked(y_pred, mask):
    return y_pred if mask is None else AttachMask()([y_pred, mask])


def value_and_gradient(loss, y_true, y_pred, sample_weight=None, mask=None):
    y_pred = tf.constant(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = loss(y_true, masked(y_pred, mask), sample_weight)
    return value.numpy(), tape.gradient(value, y_pred).numpy()


def on_unpadded_steps(loss, y_true, y_pred, weights):
    """Return the weighted mean of Keras' own values over the valid steps alone, and its gradient."""
    steps, gradient = tf.constant(y_pred[MASK]), np.zeros_like(y_pred)
    step_loss = keras.losses.get(loss)
    with tf.GradientTape() as tape:
        tape.watch(steps)
        y_true = tf.cast(y_true[MASK], "float32")
        values = getattr(step_loss, "call", step_loss)(y_true, steps)
        weights = weights[MASK]
        if getattr(step_loss, "ignore_class", None) is not None:
            weights = weights * tf.cast(y_true != step_loss.ignore_class, "float32")
        value = tf.reduce_sum(values * weights) / tf.reduce_sum(weights)
    gradient[MASK] = tape.gradient(value, steps)
    return value.numpy(), gradient


@pytest.mark.parametrize("given", ["mask", "weights", "mask and weights"])
@pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: repr(TokenMean(loss)))
def test_every_loss_gives_the_mean_of_the_unpadded_steps(loss, given):
    y_true, y_pred = EVERY_LOSS[loss]
    weights = WEIGHTS if "weights" in given else np.ones_like(WEIGHTS)
    expected = on_unpadded_steps(loss, y_true, y_pred, weights)
    spoiled = np.where(MASK[..., None], y_pred, np.nan).astype("float32")
    labels = np.where(MASK.reshape(MASK.shape + (1,) * (y_true.ndim - 2)), y_true, -7)
    actual = value_and_gradient(
        TokenMean(loss),
        labels,
        spoiled,
        sample_weight={
            "mask": None,
            "weights": weights * MASK,
            "mask and weights": np.where(MASK, weights, np.nan),
        }[given],
        mask=MASK if "mask" in given else None,
    )
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(actual[1], expected[1], rtol=1e-6, atol=1e-6)
    assert (actual[1][~MASK] == 0).all()


# Errors 1, 3, 9 and 6, 9, 9: small integers make every mean exact.
Y_PRED = np.array([[[1.0], [3.0], [9.0]], [[6.0], [9.0], [9.0]]], "float32")
Y_TRUE = np.zeros_like(Y_PRED)


@pytest.mark.parametrize(
    ("sample_weight", "mask", "mean"),
    [
        (None, None, 37 / 6),
        ([[1, 1, 0], [1, 0, 0]], None, 10 / 3),
        (None, [[1, 1, 0], [1, 0, 0]], 10 / 3),
        ([[1, 1, 0], [1, 0, 0]], [[1, 1, 0], [1, 0, 0]], 10 / 3),
        ([[2, 1, 5], [5, 5, 5]], [[1, 1, 0], [1, 0, 0]], 35 / 8),
        ([[4, 2, 10], [10, 10, 10]], [[1, 1, 0], [1, 0, 0]], 35 / 8),  # only proportions count
        ([[0, 1, 5], [5, 5, 5]], [[1, 1, 0], [0, 0, 0]], 3),
        ([[0.0, 0.5, 0.0], [0.25, 0.0, 0.0]], None, 4),
        (np.array([[True, True, False], [True, False, False]]), None, 10 / 3),
        (None, [[0, 0, 0], [0, 0, 0]], 0),
        ([[0, 0, 0], [0, 0, 0]], None, 0),
        ([[1, 0, 0], [0, 0, 0]], [[0, 1, 1], [1, 1, 1]], 0),
    ],
)
def test_weighted_means_by_hand(sample_weight, mask, mean):
    mask = None if mask is None else np.array(mask)
    value, gradient = value_and_gradient(TokenMean("mae"), Y_TRUE, Y_PRED, sample_weight, mask)
    assert value == pytest.approx(mean, rel=1e-6)
    weights = np.ones((2, 3)) if sample_weight is None else np.array(sample_weight)
    weights = weights if mask is None else weights * mask
    expected = weights / (weights.sum() or 1)
    np.testing.assert_allclose(gradient[..., 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "reduction", ["sum", "sum_over_batch_size", "mean_with_sample_weight", None]
)
def test_the_reduction_of_the_wrapped_loss_has_no_say(reduction):
    loss = TokenMean(keras.losses.MeanAbsoluteError(reduction=reduction))
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    assert loss(Y_TRUE, masked(Y_PRED, mask), mask).numpy() == pytest.approx(10 / 3)


@pytest.mark.parametrize(
    "loss",
    [losses.SparseCategoricalCrossentropy(ignore_class=-1), "sparse_categorical_crossentropy"],
)
@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, 3e38])
def test_junk_in_the_padding_does_no_harm(junk, loss):
    labels, predictions = CLASSES.astype("float32"), PROBABILITIES.copy()
    expected = value_and_gradient(TokenMean(loss), labels, predictions, mask=MASK)
    labels[~MASK] = predictions[~MASK] = junk
    actual = value_and_gradient(TokenMean(loss), labels, predictions, mask=MASK)
    assert np.isfinite(actual[0])
    np.testing.assert_array_equal(actual[0], expected[0])
    np.testing.assert_array_equal(actual[1], expected[1])


def test_a_loss_that_is_infinite_where_it_was_filled_in_does_no_harm():
    loss = TokenMean(lambda y_true, y_pred: keras.ops.mean(y_pred / y_true, axis=-1))
    value, gradient = value_and_gradient(loss, np.ones((1, 2, 1)), Y_PRED[:1, :2], [[1, 0]])
    assert (value, gradient.ravel().tolist()) == (1, [1, 0])


def test_nan_at_a_valid_step_is_not_hidden():
    assert np.isnan(TokenMean("mae")(Y_TRUE, np.full_like(Y_PRED, np.nan)))
    assert np.isnan(TokenMean("mae")(Y_TRUE, Y_PRED, np.full((2, 3), np.nan)))


def test_gradients_of_a_batch_that_is_all_padding_are_zero():
    y_pred = np.full((4, 4, 5), np.nan, "float32")
    value, gradient = value_and_gradient(TokenMean("mse"), y_pred, y_pred, mask=MASK & False)
    assert value == 0
    assert (gradient == 0).all()


def test_a_class_number_outside_the_classes_raises_at_a_valid_step_only():
    labels = np.where(MASK, CLASSES, 5)
    loss = TokenMean("sparse_categorical_crossentropy")
    loss(labels, masked(tf.constant(PROBABILITIES), MASK))
    labels[0, 0] = 5
    with pytest.raises(tf.errors.InvalidArgumentError, match="outside the valid range"):
        loss(labels, masked(tf.constant(PROBABILITIES), MASK))


@pytest.mark.parametrize(
    ("y_true", "y_pred"),
    [([0, 0], [[1], [4]]), ([[0], [0]], [[1], [4]]), ([0, 0], [1, 4]), ([[0], [0]], [1, 4])],
)
def test_rows_without_time(y_true, y_pred):
    loss = TokenMean("mae")
    assert loss(np.array(y_true), np.array(y_pred, "float32")).numpy() == 2.5
    assert loss(y_true, np.array(y_pred, "float32"), [1, 2]).numpy() == 3
    sparse = TokenMean("sparse_categorical_crossentropy")
    assert sparse([0, 1], [[1.0, 0.0], [0.5, 0.5]], [0, 1]).numpy() == pytest.approx(np.log(2))


def test_a_mask_of_another_dtype_tells_only_valid_from_invalid():
    class FloatMask(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.copy(inputs)

        def compute_mask(self, inputs, previous_mask):
            return tf.constant([[0.5, 2.0, 0.0], [0.1, 0.0, 0.0]])

    assert TokenMean("mae")(Y_TRUE, FloatMask()(Y_PRED)).numpy() == pytest.approx(10 / 3)


def test_half_precision_is_widened():
    ones = tf.ones((1, 70_000, 1), "float16")  # their sum is infinite in float16
    assert TokenMean("mae", dtype="float16")(ones * 0, ones).numpy() == 1
    labels = np.full((1, 1), 1001)  # 1000 in bfloat16
    predictions = tf.one_hot(labels, 1002)
    value = TokenMean("sparse_categorical_crossentropy", dtype="bfloat16")(labels, predictions)
    assert value.numpy() == pytest.approx(0, abs=1e-3)
    assert TokenMean("mse", dtype="float64")(np.zeros((2, 1)), np.ones((2, 1))).dtype == tf.float64
