"""Every metric of Keras with random data for it, as unpadded steps and as padded batches."""

import keras
import numpy as np

from maskdata.layers import AttachMask

metrics = keras.metrics
RANDOM = np.random.default_rng(0)
LENGTHS = [[3, 1, 0, 2], [9, 8], [0, 0], [1]]  # of the rows of each batch
EXTRA = [1, 0, 4, 2]  # padding beyond the longest row of each batch
CLASSES = 5


def random_steps(number):
    labels = RANDOM.integers(0, CLASSES, number)
    return {
        "classes": labels.astype("int32"),
        "one-hot": np.eye(CLASSES, dtype="float32")[labels],
        "several": RANDOM.integers(0, 2, (number, CLASSES)).astype("float32"),
        "sign": RANDOM.choice([-1.0, 1.0], (number, 1)).astype("float32"),
        "bit": RANDOM.integers(0, 2, (number, 1)).astype("float32"),
        "numbers": RANDOM.normal(size=(number, 3)).astype("float32"),
        "estimates": RANDOM.normal(size=(number, 3)).astype("float32"),
        "number": RANDOM.normal(size=(number, 1)).astype("float32"),
        "estimate": RANDOM.normal(size=(number, 1)).astype("float32"),
        "probabilities": RANDOM.dirichlet(np.ones(CLASSES), number).astype("float32"),
        "probability": RANDOM.uniform(size=(number, 1)).astype("float32"),
        "guesses": RANDOM.integers(0, CLASSES, number).astype("int32"),
        "weights": RANDOM.choice([0.25, 1.0, 3.0], number).astype("float32"),
    }


STEPS = {name: [] for name in random_steps(0)}
for batch in LENGTHS:
    for name, values in random_steps(sum(batch)).items():
        STEPS[name].append(values)


def padded(kind, garbage):
    """Return the batches of a kind of values; only [steps, numbers] keep their last axis."""
    made = []
    for values, lengths, extra in zip(STEPS[kind], LENGTHS, EXTRA, strict=True):
        mask = masks(lengths, extra)
        batch = np.full((*mask.shape, *values.shape[1:]), garbage, values.dtype)
        batch[mask] = values
        made.append(batch)
    return made


def masks(lengths, extra):
    return np.arange(max(lengths) + extra) < np.array(lengths)[:, None]


@keras.saving.register_keras_serializable(package="test_token_wise")
class Halves(keras.metrics.Metric):
    """Somebody's own metric."""

    def __init__(self, name="halves", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        weights = 1.0 if sample_weight is None else sample_weight[:, None]
        self.total.assign(self.total + keras.ops.sum(weights * abs(y_true - y_pred)) / 2)

    def result(self):
        return self.total


@keras.saving.register_keras_serializable(package="test_token_wise")
def relative_error(y_true, y_pred):
    return keras.ops.mean(abs(y_true - y_pred) / abs(y_true), axis=-1)  # NaN or infinite at 0


EVERY_METRIC = {
    "accuracy of classes": ("accuracy", "classes", "probabilities"),
    "accuracy of one-hot": ("acc", "one-hot", "probabilities"),
    "accuracy of bits": ("accuracy", "bit", "probability"),
    "Accuracy": (metrics.Accuracy, "classes", "guesses"),
    "BinaryAccuracy": (lambda: metrics.BinaryAccuracy(threshold=0.7), "bit", "probability"),
    "binary_accuracy": (metrics.binary_accuracy, "several", "probabilities"),
    "CategoricalAccuracy": ("categorical_accuracy", "one-hot", "probabilities"),
    "SparseCategoricalAccuracy": ("sparse_categorical_accuracy", "classes", "probabilities"),
    "TopKCategoricalAccuracy": (
        lambda: metrics.TopKCategoricalAccuracy(2),
        "one-hot",
        "probabilities",
    ),
    "SparseTopKCategoricalAccuracy": (
        lambda: metrics.SparseTopKCategoricalAccuracy(2),
        "classes",
        "probabilities",
    ),
    "AUC": (metrics.AUC, "bit", "probability"),
    "AUC of labels": (
        lambda: metrics.AUC(multi_label=True, num_labels=CLASSES, label_weights=[1.0, 2, 3, 4, 5]),
        "several",
        "probabilities",
    ),
    "AUC of logits": (lambda: metrics.AUC(from_logits=True, curve="PR"), "bit", "number"),
    "AUC at thresholds": (lambda: metrics.AUC(thresholds=[0.1, 0.7]), "several", "probabilities"),
    "Precision": (metrics.Precision, "bit", "probability"),
    "Precision of a class": (
        lambda: metrics.Precision(class_id=1, thresholds=[0.1, 0.5]),
        "one-hot",
        "probabilities",
    ),
    "Precision at 2": (lambda: metrics.Precision(top_k=2), "several", "probabilities"),
    "Recall": ("Recall", "several", "probabilities"),
    "TruePositives": (metrics.TruePositives, "bit", "probability"),
    "TrueNegatives": (metrics.TrueNegatives, "bit", "probability"),
    "FalsePositives": (metrics.FalsePositives, "bit", "probability"),
    "FalseNegatives": (metrics.FalseNegatives, "bit", "probability"),
    "PrecisionAtRecall": (lambda: metrics.PrecisionAtRecall(0.5), "bit", "probability"),
    "RecallAtPrecision": (lambda: metrics.RecallAtPrecision(0.5), "bit", "probability"),
    "SensitivityAtSpecificity": (
        lambda: metrics.SensitivityAtSpecificity(0.5),
        "bit",
        "probability",
    ),
    "SpecificityAtSensitivity": (
        lambda: metrics.SpecificityAtSensitivity(0.5),
        "bit",
        "probability",
    ),
    "BinaryIoU": (lambda: metrics.BinaryIoU(dtype="float32"), "bit", "probability"),
    "IoU": (
        lambda: metrics.IoU(CLASSES, [1, 2], sparse_y_pred=False, dtype="float32"),
        "classes",
        "probabilities",
    ),
    "MeanIoU": (lambda: metrics.MeanIoU(CLASSES, dtype="float32"), "classes", "guesses"),
    "MeanIoU without a class": (
        lambda: metrics.MeanIoU(CLASSES, dtype="float32", ignore_class=1),
        "classes",
        "guesses",
    ),
    "OneHotIoU": (
        lambda: metrics.OneHotIoU(CLASSES, [0], dtype="float32"),
        "one-hot",
        "probabilities",
    ),
    "OneHotMeanIoU": (
        lambda: metrics.OneHotMeanIoU(CLASSES, sparse_y_pred=True, dtype="float32"),
        "one-hot",
        "guesses",
    ),
    "F1Score": (metrics.F1Score, "one-hot", "probabilities"),
    "FBetaScore": (
        lambda: metrics.FBetaScore(average="weighted", beta=2.0, threshold=0.3),
        "several",
        "probabilities",
    ),
    "F1Score of all": (lambda: metrics.F1Score(average="micro"), "one-hot", "probabilities"),
    "RootMeanSquaredError": (metrics.RootMeanSquaredError, "numbers", "estimates"),
    "R2Score": (metrics.R2Score, "numbers", "estimates"),
    "R2Score by variance": (
        lambda: metrics.R2Score(class_aggregation="variance_weighted_average"),
        "numbers",
        "estimates",
    ),
    "ConcordanceCorrelation": (metrics.ConcordanceCorrelation, "numbers", "estimates"),
    "pearson_correlation": (metrics.pearson_correlation, "numbers", "estimates"),
    "CosineSimilarity": (metrics.CosineSimilarity, "numbers", "estimates"),
    "MeanSquaredError": ("mse", "numbers", "estimates"),
    "MeanAbsoluteError": ("mae", "number", "estimate"),
    "MeanAbsolutePercentageError": ("mape", "numbers", "estimates"),
    "MeanSquaredLogarithmicError": ("msle", "several", "probabilities"),
    "LogCoshError": (metrics.LogCoshError, "numbers", "estimates"),
    "Poisson": (metrics.Poisson, "several", "probabilities"),
    "KLDivergence": (metrics.KLDivergence, "one-hot", "probabilities"),
    "Hinge": (metrics.Hinge, "sign", "number"),
    "SquaredHinge": (metrics.SquaredHinge, "sign", "number"),
    "CategoricalHinge": (metrics.CategoricalHinge, "one-hot", "probabilities"),
    "BinaryCrossentropy": (metrics.BinaryCrossentropy, "several", "probabilities"),
    "CategoricalCrossentropy": (
        lambda: metrics.CategoricalCrossentropy(label_smoothing=0.1),
        "one-hot",
        "probabilities",
    ),
    "SparseCategoricalCrossentropy": (
        lambda: metrics.SparseCategoricalCrossentropy(from_logits=True),
        "classes",
        "probabilities",
    ),
    "a function with ignore_class": (
        lambda: metrics.MeanMetricWrapper(
            keras.losses.sparse_categorical_crossentropy, ignore_class=2
        ),
        "classes",
        "probabilities",
    ),
    "a function": (relative_error, "numbers", "estimates"),
    "a metric": (Halves, "numbers", "estimates"),
}


SAME_AS_ACCURACY = {
    "classes": "sparse_categorical_accuracy",
    "one-hot": "categorical_accuracy",
    "bit": "binary_accuracy",
}


def make(name):
    metric = EVERY_METRIC[name][0]
    return metric() if getattr(metric, "__name__", "") == "<lambda>" else metric


def on_unpadded_steps(name, *, weighted):
    """Return the metric's own value of all valid steps, given to it at once."""
    metric, labels, predictions = EVERY_METRIC[name]
    metric = SAME_AS_ACCURACY[labels] if metric in ("accuracy", "acc") else make(name)
    metric = keras.metrics.get(metric)
    if not isinstance(metric, metrics.Metric):
        metric = metrics.MeanMetricWrapper(metric)
    y_true, y_pred, weights = (
        np.concatenate(STEPS[kind]) for kind in (labels, predictions, "weights")
    )
    if not weighted:
        weights = np.ones_like(weights)
    metric.update_state(y_true, y_pred, sample_weight=weights)
    return np.array(metric.result())


def garbage(kind):
    return -7 if kind in ("classes", "guesses") else np.nan


def batches(name):
    """Return (y_true, y_pred, sample_weight, mask) of every batch."""
    _, labels, predictions = EVERY_METRIC[name]
    kinds = [(labels, garbage(labels)), (predictions, garbage(predictions)), ("weights", np.nan)]
    mask = [masks(lengths, extra) for lengths, extra in zip(LENGTHS, EXTRA, strict=True)]
    return zip(*(padded(kind, filling) for kind, filling in kinds), mask, strict=True)


def masked(y_pred, mask):
    return AttachMask()([keras.ops.convert_to_tensor(y_pred), mask])
