"""(y_true, y_pred, sample_weight) of many batches -> one number over all their valid steps."""

from typing import Any

import keras
from keras import ops

from maskdata import _labels, _step_metrics, _steps
from maskdata._keras_objects import as_call, as_wrapper, serialize, set_direction
from maskdata._masks import Tensor, keras_mask
from maskdata._replicas import check_in_scope
from maskdata.losses import TokenMean

__all__ = ["TokenLoss", "TokenWise"]


@keras.saving.register_keras_serializable(package="maskdata")
class TokenWise(keras.metrics.Metric):
    """Make a metric count the valid steps and nothing else.

    Stage: (y_true, y_pred, sample_weight) of many batches -> **the metric of their valid steps**.

    Lays the steps of all rows end to end, [B, L, V] -> [B * L, V], and gives the metric one
    weight per step: the product of its sample weight, the Keras mask on `y_pred`, and 0 for a
    label to ignore; each may be given or not. The answer does not depend on batches, padding or
    replicas, where Keras alone divides every row by its padded length. Steps of weight zero are
    never looked at: NaN, infinities and illegal class numbers do no harm there.

    Keras hands `sample_weight` to `weighted_metrics` only, and on JAX `fit` hides the masks of
    layers from metrics. So give the mask as `sample_weight` and put this into
    `weighted_metrics`, as `ToKeras` and `compile_args` do.

    Args:
        metric: A name, a function `(y_true, y_pred) -> one value per step`, or a metric of Keras
            or your own that takes `sample_weight`; the instance belongs to this one then.
        ignore_value: The label of steps that do not count, as in `losses.TokenMean`.
        weighted: Whether steps count by their sample weight. If False, they count once each
            unless it is 0.
        name: Name of the metric. Defaults to that of the wrapped one.

    Shapes:
        y_pred: [B, L, V], [B, L, D], [B, L, 1], or without time [B, V], [B, 1], [B]. Class
            numbers, as `Accuracy` and `MeanIoU` take them, may be [B, L].
        y_true: as `y_pred`; class numbers [B, L] or [B, L, 1]; [B] against [B, 1]
        sample_weight and mask: one value per step, nothing is broadcast
        result: what the metric gives

    Raises:
        ValueError: When built, for what is no metric of labels and predictions with weights
            (`Mean`, a loss), for one that does not weigh everything (`R2Score` with
            `num_regressors`, `PearsonCorrelation`), and for an `axis` other than the last.
            When updated, for labels, weights or a mask of another shape, for float weights of a
            metric that counts in integers, and on replicas if made outside `strategy.scope()`.
        tf.errors.InvalidArgumentError: When updated (TensorFlow), for shapes known only then.

    Example:
        >>> mine = md.metrics.TokenWise("mean_absolute_error")
        >>> stock = keras.metrics.MeanAbsoluteError()
        >>> for errors, mask in [([[[4.0]]], [[1]]), ([[[1.0], [1.0], [9.0]]], [[1, 1, 0]])]:
        ...     mine.update_state(tf.zeros_like(errors), tf.constant(errors), mask)
        ...     stock.update_state(tf.zeros_like(errors), tf.constant(errors), mask)
        >>> float(mine.result()), round(float(stock.result()), 1)
        (2.0, 2.8)

    Source: `reduce_to_samplewise_values` of Keras 3, which averages each row over time first
    """

    def __init__(
        self,
        metric: Any,
        *,
        ignore_value: Any = None,
        weighted: bool = True,
        name: str | None = None,
    ) -> None:
        wrapped = _step_metrics.metric_of_steps(metric)
        super().__init__(name=name or (metric if isinstance(metric, str) else wrapped.name))
        self._metric = wrapped
        is_mean = isinstance(wrapped, _step_metrics.MeanOfSteps)
        self._of = wrapped.function if is_mean else wrapped  # what says what labels are
        self._given_metric = metric if isinstance(metric, str) else self._of
        self._given_name = name
        self._ignore_value = _labels.check_ignore_value("TokenWise", ignore_value)
        self._weighted = weighted
        set_direction(self, getattr(wrapped, "_direction", None))

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> None:
        """Add the valid steps of a batch."""
        check_in_scope("TokenWise", self.variables)
        mask = keras_mask(y_pred)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if keras.backend.is_float_dtype(y_pred.dtype):
            # In half precision Keras would compare class numbers that have become equal.
            y_pred = ops.cast(y_pred, keras.backend.result_type(y_pred.dtype, "float32"))
        if sample_weight is not None:
            sample_weight = self._counts(ops.convert_to_tensor(sample_weight))

        given = [x for x in (sample_weight, mask) if x is not None]
        y_true, y_pred = _step_metrics.with_last_axis(self._metric, y_true, y_pred, given)
        y_true, y_pred, weights = _steps.weigh(
            "TokenWise",
            self._of,
            y_true,
            y_pred,
            keras.backend.result_type(self._metric.dtype, "float32"),
            sample_weight=sample_weight,
            mask=mask,
            ignore_value=self._ignore_value,
        )
        rank = len(y_pred.shape) - 1
        self._metric.update_state(
            _steps.end_to_end(y_true, rank),
            _steps.end_to_end(y_pred, rank),
            sample_weight=ops.cast(_steps.end_to_end(weights, rank), self._metric.dtype),
        )

    def _counts(self, sample_weight: Tensor) -> Tensor:
        if not self._weighted:
            return ops.not_equal(sample_weight, 0)
        given, own = map(keras.backend.standardize_dtype, (sample_weight.dtype, self._metric.dtype))
        if "float" in given and "float" not in own:
            raise ValueError(
                f"TokenWise: sample_weight must be whole numbers for {as_call(self._metric)}, which "
                f"counts in {own}, got {given}. Make the metric with "
                "dtype='float32', or let steps count once with weighted=False."
            )
        return sample_weight

    def result(self) -> Tensor:
        """Return the metric over all steps since the last reset."""
        return self._metric.result()

    def reset_state(self) -> None:
        """Forget all steps."""
        self._metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, the wrapped metric in Keras' own serialised form."""
        return {
            "metric": serialize(self._given_metric),
            "ignore_value": self._ignore_value,
            "weighted": self._weighted,
            "name": self._given_name,
        }

    def __repr__(self) -> str:
        return as_wrapper(
            "TokenWise",
            self._given_metric,
            ignore_value=self._ignore_value,
            weighted=None if self._weighted else False,
            name=self._given_name,
        )


@keras.saving.register_keras_serializable(package="maskdata")
class TokenLoss(keras.metrics.Metric):
    """Average a loss over the valid steps of all batches.

    Stage: (y_true, y_pred, sample_weight) of many batches -> **sum(loss * weight) / sum(weight)**.

    The number to watch: `EarlyStopping("val_token_loss")`, `ModelCheckpoint(monitor=...)`. The
    `loss` that Keras logs for an epoch is the mean of the batches' losses weighted by their
    rows, and so depends on how rows were batched; this one does not, and is the same on replicas.
    Its place is in `weighted_metrics`, as for `TokenWise`.

    Args:
        loss: What `losses.TokenMean` takes, or a `TokenMean`.
        ignore_value: As in `losses.TokenMean`, and only if the loss is not one.
        class_weight: Likewise.
        name: Name of the metric.

    Shapes:
        y_true, y_pred, sample_weight, mask: as `losses.TokenMean`
        result: one float

    Raises:
        ValueError: When built and updated, as `losses.TokenMean`; on JAX, when `fit` keeps from it
            the mask that the loss got, and there is no `sample_weight`.

    Example:
        >>> token_loss = md.metrics.TokenLoss("mean_absolute_error")
        >>> for y_pred in [tf.constant([[[4.0]]]), tf.constant([[[1.0], [1.0]]])]:
        ...     token_loss.update_state(tf.zeros_like(y_pred), y_pred)
        >>> float(token_loss.result())
        2.0
    """

    def __init__(
        self,
        loss: Any,
        *,
        ignore_value: Any = None,
        class_weight: Any = None,
        name: str = "token_loss",
    ) -> None:
        loss = keras.losses.get(loss) if isinstance(loss, dict) else loss
        if not isinstance(loss, TokenMean):
            loss = TokenMean(loss, ignore_value=ignore_value, class_weight=class_weight)
        elif ignore_value is not None or class_weight is not None:
            raise ValueError(
                f"TokenLoss: ignore_value and class_weight must be those of the loss, got "
                f"{ignore_value!r} and {class_weight!r} with {loss!r}. Give them there."
            )
        super().__init__(name=name, dtype=loss.dtype)
        self._loss = loss
        self._sums = [
            [self.add_variable((), "zeros", name=f"{what}{part}") for part in ("", "_excess")]
            for what in ("loss", "weight")
        ]
        set_direction(self, "down")

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> None:
        """Add the valid steps of a batch."""
        check_in_scope("TokenLoss", self.variables)
        self._check_mask(y_pred, sample_weight)
        values = self._loss.sums(y_true, y_pred, sample_weight)
        for value, (total, excess) in zip(values, self._sums, strict=True):
            # Kahan's sum: what rounding added is taken off the next value. A million batches
            # then lose no more than one.
            value, before = value - excess, ops.convert_to_tensor(total)
            after = before + value
            excess.assign((after - before) - value)
            total.assign(after)

    def _check_mask(self, y_pred: Tensor, sample_weight: Tensor) -> None:
        is_lost = self._loss.had_mask and keras_mask(y_pred) is None and sample_weight is None
        if is_lost and keras.backend.backend() == "jax":
            raise ValueError(
                "TokenLoss: metrics must get the mask that the loss got, got none: on JAX, Keras' "
                "`fit` keeps masks of layers from them. Give the mask as sample_weight too."
            )

    def result(self) -> Tensor:
        """Return the mean over all steps since the last reset, 0 if there were none."""
        loss, weight = (total - excess for total, excess in self._sums)
        return ops.divide_no_nan(loss, weight)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, the loss as a `TokenMean`."""
        return {"loss": serialize(self._loss), "name": self.name}

    def __repr__(self) -> str:
        name = None if self.name == "token_loss" else self.name
        return as_wrapper("TokenLoss", self._loss, name=name)
