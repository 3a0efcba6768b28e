"""A name, function or metric -> the metric that takes steps [N, ...] with weights [N]."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from maskdata import _steps
from maskdata._keras_objects import arguments, as_call
from maskdata._masks import Tensor, fits, keras_mask


class MeanOfSteps(keras.metrics.MeanMetricWrapper):  # type: ignore[misc]  # Keras ships no types
    """The mean of a function's values; steps of weight 0 may have any value, NaN too.

    Keras never saves it: `TokenWise` saves the function and makes this from it.
    """

    def __init__(self, function: Callable[..., Tensor], name: str | None = None) -> None:
        super().__init__(function, name=name or getattr(function, "__name__", None))
        self.function = function

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor) -> None:
        values = self.function(y_true, y_pred)
        if not fits(tuple(values.shape[:1]), tuple(y_pred.shape[:1])):
            raise ValueError(
                f"TokenWise: {as_call(self.function)} must return one value for each of the steps "
                f"of y_pred {tuple(y_pred.shape)}, got {tuple(values.shape)}. "
                "Reduce the last axis and no other."
            )
        own_mask = keras_mask(values)
        if own_mask is not None:
            sample_weight = sample_weight * ops.cast(own_mask, sample_weight.dtype)
        values = _steps.where(ops.not_equal(sample_weight, 0), values, 0.0)
        # Mean's own: that of MeanMetricWrapper would call the function once more.
        keras.metrics.Mean.update_state(self, values, sample_weight)


def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Tell which predictions are right, by Keras' rule for `metrics=["accuracy"]`."""
    if y_pred.shape[-1] == 1:
        return keras.metrics.binary_accuracy(y_true, y_pred)
    if len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1:
        return keras.metrics.sparse_categorical_accuracy(y_true, y_pred)
    return keras.metrics.categorical_accuracy(y_true, y_pred)


def metric_of_steps(metric: Any) -> keras.Metric:
    """Return the metric that `metric` stands for, or refuse it."""
    if isinstance(metric, str) and metric.lower() in ("accuracy", "acc"):
        return MeanOfSteps(accuracy, name=metric)
    try:
        found = keras.metrics.get(metric)
    except ValueError:
        found = None
    shown = repr(metric) if isinstance(metric, str) or found is None else as_call(found)
    if found is None:
        raise ValueError(
            f"TokenWise: metric must be a metric of Keras, a function or a Metric, got {shown}. "
            "For example 'sparse_categorical_accuracy'."
        )
    if isinstance(found, keras.losses.Loss):
        raise ValueError(
            f"TokenWise: metric must not be a loss, got {shown}. Use TokenLoss for its mean."
        )
    if not isinstance(found, keras.Metric):
        return MeanOfSteps(found)
    reason = _why_not(found)
    if reason:
        raise ValueError(f"TokenWise: metric must weigh every step, got {shown}, which {reason}")
    return found


def _why_not(metric: keras.Metric) -> str | None:
    if type(metric).__module__.startswith("maskdata."):
        return "does so already. Use it as it is."
    try:
        inspect.signature(metric.update_state).bind(0, 0, sample_weight=0)
    except TypeError:
        return "does not take (y_true, y_pred, sample_weight). Give its update_state these three."
    if arguments(metric).get("axis", -1) != -1:
        return "reduces another axis than the last. Move the features there, leave out `axis`."
    if isinstance(metric, keras.metrics.PearsonCorrelation):
        return (
            "is 0/0 where all numbers are equal, as in padding. "
            "Give the function keras.metrics.pearson_correlation."
        )
    if isinstance(metric, keras.metrics.R2Score) and metric.num_regressors:
        return "counts rows of weight 0 too. Leave out `num_regressors`."
    return None


def with_last_axis(
    metric: keras.Metric, y_true: Tensor, y_pred: Tensor, given: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Return [B, L, 1] for the class numbers [B, L] that some metrics take as predictions."""
    is_iou = isinstance(metric, keras.metrics.IoU)
    if not isinstance(metric, keras.metrics.Accuracy) and not (is_iou and metric.sparse_y_pred):
        return y_true, y_pred
    rank, last = len(y_pred.shape), y_pred.shape[-1]
    if any(len(x.shape) == rank for x in given) if given else last != 1:
        y_pred = ops.expand_dims(y_pred, -1)
        y_true = ops.expand_dims(y_true, -1) if len(y_true.shape) == rank else y_true
    elif is_iou and last != 1:
        raise ValueError(
            f"TokenWise: y_pred must be class numbers for {as_call(metric)}, got "
            f"{tuple(y_pred.shape)}. Make the metric with sparse_y_pred=False."
        )
    return y_true, y_pred
