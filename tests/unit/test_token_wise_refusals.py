"""TokenWise and TokenLoss refuse what cannot count steps, and never squeeze or broadcast."""

import re

import keras
import numpy as np
import pytest

from maskdata.layers import AttachMask
from maskdata.losses import TokenMean
from maskdata.metrics import TokenLoss, TokenWise

metrics = keras.metrics


class WithoutWeights(metrics.Metric):
    def update_state(self, y_true, y_pred):
        pass


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (None, "a function or a Metric, got None. For example"),
        ("no_such_metric", "a function or a Metric, got 'no_such_metric'. For example"),
        (3, "a function or a Metric, got 3. For example"),
        (keras.losses.Huber(delta=2.0), "not be a loss, got Huber(delta=2.0). Use TokenLoss"),
        (TokenMean("mse"), "not be a loss, got TokenMean('mse'). Use TokenLoss"),
        (TokenWise("mse"), "got TokenWise('mse'), which does so already. Use it as it is."),
        (TokenLoss("mse"), "got TokenLoss(TokenMean('mse')), which does so already. Use it"),
        (metrics.Mean(), "got Mean(), which does not take (y_true, y_pred, sample_weight). Give"),
        ("Sum", "got 'Sum', which does not take (y_true, y_pred, sample_weight)."),
        (WithoutWeights(), "got WithoutWeights(), which does not take (y_true, y_pred, sample_w"),
        (metrics.CosineSimilarity(axis=1), "got CosineSimilarity(axis=1), which reduces another"),
        (metrics.MeanMetricWrapper(keras.losses.cosine_similarity, axis=1), "another axis than"),
        (metrics.PearsonCorrelation(), "which is 0/0 where all numbers are equal, as in padding."),
        (metrics.R2Score(num_regressors=2), "R2Score(num_regressors=2), which counts rows of"),
    ],
)
def test_metrics_that_cannot_count_steps_are_refused(metric, words):
    with pytest.raises(ValueError, match="TokenWise: metric must .*" + re.escape(words)):
        TokenWise(metric)


@pytest.mark.parametrize("value", ["a", [], [[1]], ["a"], True, [True], {1}])
@pytest.mark.parametrize("wrapper", [TokenWise, TokenLoss, TokenMean])
def test_what_is_no_label_is_refused(wrapper, value):
    with pytest.raises(ValueError, match=re.escape(f"or a list of numbers, got {value!r}. Give")):
        wrapper("mse", ignore_value=value)


@pytest.mark.parametrize(
    "value", [{}, [1.0], {"a": 1}, {-1: 1}, {0.5: 1}, {0: -1}, {0: "a"}, {0: np.nan}, {0: np.inf}]
)
@pytest.mark.parametrize("wrapper", [TokenLoss, TokenMean])
def test_what_are_no_weights_of_classes_is_refused(wrapper, value):
    words = f"must map class numbers to weights of 0 or more, got {value!r}. For example"
    with pytest.raises(ValueError, match=re.escape(words)):
        wrapper("mse", class_weight=value)


@pytest.mark.parametrize(
    ("loss", "ignore_value", "labels", "words"),
    [
        ("mse", 0, (2, 3, 4), "class numbers or one-hot for ignore_value 0, got (2, 3, 4), which"),
        ("binary_crossentropy", 1, (2, 3, 4), "one-hot for ignore_value 1, got (2, 3, 4), which"),
        ("categorical_crossentropy", 4, (2, 3, 4), "class of one-hot labels (2, 3, 4), got 4."),
        ("categorical_crossentropy", -1, (2, 3, 4), "class of one-hot labels (2, 3, 4), got -1."),
        ("categorical_crossentropy", 0.5, (2, 3, 4), "one-hot labels (2, 3, 4), got 0.5. Give"),
        ("categorical_crossentropy", np.inf, (2, 3, 4), "one-hot labels (2, 3, 4), got inf."),
        ("categorical_crossentropy", [0, 1], (2, 3, 4), "of y_true (2, 3, 4), got [0, 1]. Give as"),
        ("sparse_categorical_crossentropy", [0, 1], (2, 3), "of y_true (2, 3), got [0, 1]."),
    ],
)
@pytest.mark.parametrize("wrapper", [TokenWise, TokenLoss, TokenMean])
def test_labels_that_cannot_be_the_ignored_one_are_refused(
    wrapper, loss, ignore_value, labels, words
):
    metric = wrapper(loss, ignore_value=ignore_value)
    with pytest.raises(ValueError, match=re.escape(words)):
        getattr(metric, "update_state", metric)(np.zeros(labels), np.ones((2, 3, 4)))


@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
def test_class_weights_for_labels_without_classes_are_refused(loss):
    with pytest.raises(ValueError, match=r"one-hot for class_weight, got \(2, 3, 4\), which .* as"):
        TokenMean(loss, class_weight={0: 2})(np.zeros((2, 3, 4)), np.ones((2, 3, 4)))


def test_ignore_value_beside_ignore_class_is_refused():
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=2)
    with pytest.raises(ValueError, match=r"beside ignore_class, got 1 with SparseCateg.*Give one"):
        TokenMean(loss, ignore_value=1)


def test_token_loss_takes_what_to_ignore_from_its_token_mean():
    with pytest.raises(ValueError, match=r"be those of the loss, got 1 and None with TokenMean\("):
        TokenLoss(TokenMean("mse"), ignore_value=1)
    with pytest.raises(ValueError, match=r"got None and {1: 2} with .*\. Give them there"):
        TokenLoss(TokenMean("mse"), class_weight={1: 2})


@pytest.mark.parametrize("shape", [(), (4,), (4, 1), (5, 4), (4, 5, 1), (4, 5, 3)])
@pytest.mark.parametrize("wrapper", [TokenWise, TokenLoss])
def test_weights_and_masks_are_never_broadcast(wrapper, shape):
    y = keras.ops.zeros((4, 5, 3))
    with pytest.raises(
        ValueError, match=rf"sample_weight must .*\(4, 5\), got {re.escape(str(shape))}"
    ):
        wrapper("mse").update_state(y, y, np.ones(shape))
    if shape in [(4,), (4, 5, 3)]:
        with pytest.raises(ValueError, match=r"mask on y_pred must .*\(4, 5\), got"):
            wrapper("mse").update_state(y, AttachMask()([y, np.ones(shape)]))


@pytest.mark.parametrize(
    ("metric", "labels", "predictions"),
    [
        ("mse", (4, 5), (4, 5, 1)),
        ("AUC", (4, 5), (4, 5, 1)),
        ("accuracy", (4, 5), (4, 5, 1)),
        ("sparse_categorical_accuracy", (4, 6), (4, 5, 3)),
        ("categorical_accuracy", (4, 5), (4, 5, 3)),
        ("F1Score", (4, 5, 1), (4, 5, 3)),
        (lambda y_true, y_pred: abs(y_true - y_pred)[..., 0], (4, 5), (4, 5, 1)),
        (metrics.MeanIoU(3, sparse_y_pred=False), (4, 6), (4, 5, 3)),
    ],
)
def test_labels_are_never_squeezed_or_broadcast(metric, labels, predictions):
    with pytest.raises(
        ValueError, match=rf"y_true must have the .*axes of .*, got {re.escape(str(labels))}\. Add"
    ):
        TokenWise(metric).update_state(np.zeros(labels), np.ones(predictions))


def test_probabilities_for_a_metric_of_class_numbers_are_refused():
    with pytest.raises(
        ValueError, match=r"class numbers for MeanIoU\(.*\(4, 5, 3\)\. Make .*=False"
    ):
        TokenWise(metrics.MeanIoU(3)).update_state(
            np.zeros((4, 5)), np.ones((4, 5, 3)), np.ones((4, 5), "int8")
        )


def test_float_weights_of_a_metric_in_integers_are_refused():
    labels = np.zeros((4, 5), "int32")
    metric = TokenWise(metrics.MeanIoU(3))
    with pytest.raises(
        ValueError, match=r"for MeanIoU\(num_classes=3\), which counts in int64, got float32\. Make"
    ):
        metric.update_state(labels, labels, np.full((4, 5), 0.5, "float32"))
    metric.update_state(labels, labels, np.ones((4, 5), "int8"))
    assert float(metric.result()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda y_true, y_pred: keras.ops.mean(y_true - y_pred), r"\(\)"),
        (lambda y_true, y_pred: keras.ops.mean(y_true - y_pred, axis=0), r"\(3,\)"),
    ],
)
def test_a_function_without_one_value_per_step_is_refused(function, got):
    y = np.zeros((4, 5, 3), "float32")
    with pytest.raises(
        ValueError, match=rf"steps of y_pred \(20, 3\), got {got}\. Reduce the last"
    ):
        TokenWise(function).update_state(y, y)
