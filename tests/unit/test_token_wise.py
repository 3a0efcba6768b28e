"""TokenWise: every metric of Keras against its own value on the unpadded steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata.metrics import TokenWise
from tests.unit.token_wise_cases import (
    CLASSES,
    EVERY_METRIC,
    EXTRA,
    LENGTHS,
    Halves,
    batches,
    garbage,
    make,
    masked,
    masks,
    on_unpadded_steps,
    padded,
    relative_error,
)

metrics = keras.metrics


@pytest.mark.parametrize("given", ["weights", "mask", "both"])
@pytest.mark.parametrize("name", EVERY_METRIC)
def test_every_metric_gives_its_value_on_the_unpadded_steps(name, given):
    metric = TokenWise(make(name))
    for y_true, y_pred, weights, mask in batches(name):
        if given == "weights":
            metric.update_state(y_true, y_pred, np.where(mask, weights, 0))
        else:
            metric.update_state(y_true, masked(y_pred, mask), weights if given == "both" else None)
    expected = on_unpadded_steps(name, weighted=given != "mask")
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.function")
@pytest.mark.parametrize("name", ["accuracy of classes", "AUC", "F1Score", "MeanIoU", "a function"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_shapes_may_be_unknown_until_run_time(name, jit_compile):
    metric = TokenWise(make(name))
    examples = next(batches(name))[:3]
    update = tf.function(
        metric.update_state,
        input_signature=[tf.TensorSpec((None, None, *x.shape[2:]), x.dtype) for x in examples],
        jit_compile=jit_compile,
    )
    for y_true, y_pred, weights, mask in batches(name):
        update(y_true, y_pred, np.where(mask, weights, 0))
    expected = on_unpadded_steps(name, weighted=True)
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["accuracy of classes", "AUC", "F1Score", "MeanIoU", "R2Score"])
@pytest.mark.parametrize("weighted", [True, False])
def test_steps_count_by_their_weight_or_once(name, weighted):
    metric = TokenWise(make(name), weighted=weighted)
    for y_true, y_pred, weights, mask in batches(name):
        metric.update_state(y_true, y_pred, np.where(mask, weights, 0))
    expected = on_unpadded_steps(name, weighted=weighted)
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["CategoricalAccuracy", "F1Score", "MeanIoU", "a function"])
def test_reset_forgets_all_steps(name):
    metric = TokenWise(make(name))
    for _ in range(2):
        for y_true, y_pred, weights, mask in batches(name):
            metric.update_state(y_true, y_pred, np.where(mask, weights, 0))
        np.testing.assert_allclose(metric.result(), on_unpadded_steps(name, weighted=True), 1e-6)
        metric.reset_state()
        assert all(np.all(np.array(variable) == 0) for variable in metric.variables)


IGNORED = {
    "a class": ("accuracy", "classes", 2, lambda labels: labels != 2),
    "a class that is none": ("accuracy", "classes", -7, lambda labels: labels != -7),
    "a one-hot class": ("accuracy", "one-hot", 2, lambda labels: labels[..., 2] != 1),
    "a one-hot label": (
        metrics.AUC, "one-hot", [0, 0, 1, 0, 0], lambda labels: labels[..., 2] != 1,
    ),
    "a label of bits": (
        metrics.BinaryAccuracy, "several", [1, 0, 1, 0, 0],
        lambda labels: (labels != [1, 0, 1, 0, 0]).any(axis=-1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("told_by", ["ignore_value alone", "weights too"])
@pytest.mark.parametrize("case", IGNORED)
def test_labels_to_ignore(case, told_by):
    given, kind, ignore_value, is_valid = IGNORED[case]
    ignoring, plain = TokenWise(given, ignore_value=ignore_value), TokenWise(given)
    for labels, y_pred, lengths, extra in zip(
        padded(kind, garbage(kind)), padded("probabilities", 0.5), LENGTHS, EXTRA, strict=True
    ):
        mask = masks(lengths, extra)
        if told_by == "ignore_value alone":
            # Nothing but the label tells what is padding.
            filler = ignore_value if kind != "one-hot" else np.eye(CLASSES)[2]
            labels[~mask] = filler
            ignoring.update_state(labels, y_pred)
        else:
            ignoring.update_state(labels, y_pred, mask)
        plain.update_state(labels, y_pred, mask & is_valid(labels))
    assert 0 < float(plain.result()) == pytest.approx(float(ignoring.result()), rel=1e-6)


@pytest.mark.parametrize("make_metric", [metrics.Accuracy, lambda: metrics.MeanIoU(3)])
def test_class_numbers_as_predictions_have_a_last_axis_or_none(make_metric):
    labels, guesses, mask = np.array([[0, 1, 2]]), np.array([[0, 1, 1]]), np.array([[1, 1, 0]])
    for expected, weights in [(1, mask), (make_metric()(labels, guesses), None)]:
        for last_axis in (False, True):
            metric = TokenWise(make_metric())
            y_true, y_pred = (y[..., None] if last_axis else y for y in (labels, guesses))
            metric.update_state(y_true, y_pred, weights)
            assert float(metric.result()) == pytest.approx(float(expected))


def test_rows_without_time():
    for y_true, y_pred in [
        ([0, 1], [[0.2], [0.4]]),
        ([[0], [1]], [[0.2], [0.4]]),
        ([0, 1], [0.2, 0.4]),
    ]:
        metric = TokenWise("binary_accuracy")
        metric.update_state(np.array(y_true), np.array(y_pred, "float32"), np.array([1.0, 3.0]))
        assert float(metric.result()) == 0.25


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "name", ["accuracy", "sparse_categorical_accuracy", "categorical_accuracy"]
)
def test_half_precision_keeps_class_numbers_apart(name, dtype):
    labels = np.array([[2049, 2050]])  # both 2048 in float16, and in bfloat16
    y_pred = keras.ops.cast(keras.ops.one_hot(np.array([[2048, 2050]]), 2052), dtype)
    if name == "categorical_accuracy":
        labels = keras.ops.one_hot(labels, 2052)
    metric = TokenWise(name)
    metric.update_state(labels, y_pred)
    assert float(metric.result()) == 0.5


def test_nan_at_a_valid_step_is_not_hidden():
    metric = TokenWise("mse")
    metric.update_state(np.zeros((1, 2, 1)), np.full((1, 2, 1), np.nan), np.array([[1, 0]]))
    assert np.isnan(float(metric.result()))


REPRS = {
    "TokenWise('accuracy')": lambda: TokenWise("accuracy"),
    "TokenWise('mse', ignore_value=-1, weighted=False, name='error')": (
        lambda: TokenWise("mse", ignore_value=-1, weighted=False, name="error")
    ),
    "TokenWise(relative_error)": lambda: TokenWise(relative_error),
    "TokenWise(Halves())": lambda: TokenWise(Halves),
    "TokenWise(MeanIoU(num_classes=3))": lambda: TokenWise(metrics.MeanIoU(3)),
    "TokenWise(AUC(curve='PR'))": lambda: TokenWise(metrics.AUC(curve="PR", name="area")),
    "TokenWise(SparseTopKCategoricalAccuracy(k=1, from_sorted_ids=True))": (
        # Keras forgets from_sorted_ids.
        lambda: TokenWise(metrics.SparseTopKCategoricalAccuracy(1, from_sorted_ids=True))
    ),
    "TokenWise(MeanMetricWrapper(fn=relative_error))": (
        lambda: TokenWise(metrics.MeanMetricWrapper(relative_error))
    ),
}


@pytest.mark.parametrize("text", REPRS)
def test_repr_and_config_round_trip(text):
    metric = REPRS[text]()
    again = metrics.deserialize(metrics.serialize(metric))
    assert repr(again) == repr(metric) == text
    assert again.name == metric.name
    assert again.get_config() == metric.get_config()


def test_the_name_is_that_of_the_metric():
    names = [
        TokenWise(metric).name
        for metric in (
            "mse",
            "acc",
            "AUC",
            metrics.MeanSquaredError,
            relative_error,
            Halves(name="mine"),
        )
    ]
    assert names == ["mse", "acc", "AUC", "mean_squared_error", "relative_error", "mine"]
    assert TokenWise("mse", name="error").name == "error"
