"""(y_true, y_pred, sample_weight) -> one number: the mean loss of the valid steps."""

from typing import Any

import keras
from keras import ops

from maskdata import _labels, _steps
from maskdata._keras_objects import (
    arguments,
    as_call,
    as_wrapper,
    kind,
    serialize,
)
from maskdata._masks import Tensor, keras_mask
from maskdata._replicas import mean_over_replicas

_MIXES_STEPS = (
    (keras.losses.CTC, keras.losses.ctc, "aligns whole sequences"),
    (keras.losses.Circle, keras.losses.circle, "compares every row with every other"),
    (keras.losses.Dice, keras.losses.dice, "is a ratio of sums over many steps"),
    (keras.losses.Tversky, keras.losses.tversky, "is a ratio of sums over many steps"),
)


@keras.saving.register_keras_serializable(package="maskdata")
class TokenMean(keras.losses.Loss):
    """Average a loss over the valid steps of the batch.

    Stage: (y_true, y_pred, sample_weight) -> **sum(loss * weight) / sum(weight)**.

    The weight of a step is the product of its sample weight, the Keras mask on `y_pred`, the
    weight of its class, and 0 for a label to ignore; each may be given or not. Padding counts
    nowhere: value and gradients are those of the unpadded sequences, the gradient of
    `y_pred` is exactly zero at steps of weight zero, and their labels and predictions are never
    looked at, so that NaN, infinities and illegal class numbers do no harm there. If all weights
    are zero, the mean is 0.

    On replicas (`strategy.run`, or `fit` under a strategy) both sums run over all replicas, however
    unevenly the valid steps fall, and the sum of the replicas' gradients is the gradient of
    one device. The value is the mean divided by the number of replicas, as with Keras' own losses,
    so that `fit` logs the mean. `steps_per_execution` above 1 on replicas needs a strategy that reduces
    without collectives, `cross_device_ops=tf.distribute.ReductionToOneDevice()`: with the default
    Keras 3.15 fails whatever the loss (https://github.com/keras-team/keras/issues/19246).

    A mask that the wrapped loss makes itself (`ignore_class`) counts as well. Its `reduction`
    and `dtype` are not used: nothing is averaged or masked twice.

    Args:
        loss: Any loss of Keras with one value per step, or your own: a name, a function
            `(y_true, y_pred) -> loss` that reduces the last axis and no other, or a `Loss`.
        ignore_value: The label of steps that do not count, as it stands in `y_true`: a class
            number, a number, NaN, or a list for labels of several numbers, such as
            `[0, 0, 1]`. For one-hot labels a number means their class, the largest entry.
        class_weight: Class number -> weight, 0 or more; other classes weigh 1. Weights count in
            the divisor too: equal weights for all classes change nothing.
        name: Name of the loss. Defaults to `"token_mean"`.
        dtype: Dtype of the computation, at least float32: in half precision neither class
            numbers nor sums over many steps are exact. Defaults to Keras' `floatx()`.

    Shapes:
        y_pred: [B, L, D], [B, L, V], [B, L, 1], or without time [B, D], [B, 1], [B]
        y_true: as `y_pred`; class numbers [B, L] or [B, L, 1]; [B] against [B, 1]
        sample_weight and mask: as `y_pred` without its last axis, nothing is broadcast
        out: one float

    Raises:
        ValueError: When built, for a loss without one value per step (CTC, Circle, Dice,
            Tversky, or an `axis` other than the last), and for what is no label or class
            weight. When called, for labels, weights or a mask of another shape.
        tf.errors.InvalidArgumentError: When called (TensorFlow), for shapes known only then,
            and on a CPU for a class number outside the classes at a valid step.

    Example:
        >>> y_pred = tf.constant([[[1.0], [3.0], [9.0]], [[6.0], [9.0], [9.0]]])
        >>> y_true = tf.zeros_like(y_pred)
        >>> mask = tf.constant([[1, 1, 0], [1, 0, 0]])
        >>> int(md.losses.TokenMean("mean_absolute_error")(y_true, y_pred, sample_weight=mask))
        3
        >>> int(keras.losses.MeanAbsoluteError()(y_true, y_pred))
        6

    Source: `Loss.__call__` of Keras 3 divides by all elements or, with a mask, by the valid
    ones, never by their weights; https://github.com/keras-team/keras/issues/15323
    """

    def __init__(
        self,
        loss: Any,
        *,
        ignore_value: Any = None,
        class_weight: Any = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        given = keras.dtype_policies.get(dtype or keras.config.floatx()).compute_dtype
        super().__init__(
            name=name or "token_mean",
            reduction="mean_with_sample_weight",
            dtype=keras.backend.result_type(given, "float32"),
        )
        self._loss = _loss_per_step(loss)
        self._ignore_value = _labels.check_ignore_value("TokenMean", ignore_value)
        if ignore_value is not None and arguments(self._loss).get("ignore_class") is not None:
            raise ValueError(
                f"TokenMean: ignore_value must not be given beside ignore_class, got "
                f"{ignore_value!r} with {as_call(self._loss)}. Give one of them."
            )
        self._class_weight = _labels.check_class_weight("TokenMean", class_weight)
        self.had_mask = False  # whether the last y_pred carried a Keras mask
        self._given_loss = loss if isinstance(loss, str) else self._loss
        self._given_dtype = given if dtype else None

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the wrapped loss of every step, without any weight."""
        if isinstance(self._loss, keras.losses.Loss):
            return self._loss.call(y_true, y_pred)
        return self._loss(y_true, y_pred)

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        """Return the mean, in place of Keras' own `__call__`, which would weigh once more."""
        return mean_over_replicas(*self.sums(y_true, y_pred, sample_weight))

    def sums(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None
    ) -> tuple[Tensor, Tensor]:
        """Return sum(loss * weight) and sum(weight) of this batch, on this replica."""
        mask = keras_mask(y_pred)
        self.had_mask = mask is not None
        with keras.name_scope(self.name):
            y_true, y_pred = (ops.convert_to_tensor(y, self.dtype) for y in (y_true, y_pred))
            y_true, y_pred, weights = _steps.weigh(
                "TokenMean",
                self._loss,
                y_true,
                y_pred,
                self.dtype,
                sample_weight=sample_weight,
                mask=mask,
                ignore_value=self._ignore_value,
                class_weight=self._class_weight,
            )
            losses = self.call(y_true, y_pred)
            _steps.check_shape(
                "TokenMean",
                "the wrapped loss",
                losses,
                tuple(y_pred.shape[:-1]),
                "Reduce the last axis and no other.",
            )
            own_mask = keras_mask(losses)
            losses = ops.convert_to_tensor(losses, self.dtype)
            own = ops.ones_like(losses) if own_mask is None else ops.cast(own_mask, self.dtype)
            weights = _steps.product([weights, own])
            losses = _steps.where(ops.not_equal(weights, 0), losses, 0.0)
            return ops.sum(losses * weights), ops.sum(weights)

    @property
    def ignored_label(self) -> Any:
        """The label of the steps that do not count: `ignore_value`, or the loss's `ignore_class`."""
        given = self._ignore_value
        return arguments(self._loss).get("ignore_class") if given is None else given

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, the wrapped loss in Keras' own serialised form."""
        return {
            "loss": serialize(self._given_loss),
            "ignore_value": self._ignore_value,
            "class_weight": self._class_weight,
            "name": self.name,
            "dtype": self._given_dtype,
        }

    def __repr__(self) -> str:
        return as_wrapper(
            "TokenMean",
            self._given_loss,
            ignore_value=self._ignore_value,
            class_weight=self._class_weight,
            name=None if self.name == "token_mean" else self.name,
            dtype=self._given_dtype,
        )


def _loss_per_step(loss: Any) -> Any:
    """Return the function or `Loss` that `loss` stands for, or refuse it."""
    try:
        found = keras.losses.get(loss)
    except ValueError:
        found = None
    shown = repr(loss) if isinstance(loss, str) or found is None else as_call(found)
    if found is None:
        raise ValueError(
            f"TokenMean: loss must be a loss of Keras, a function or a Loss, got {shown}. "
            "For example 'sparse_categorical_crossentropy'."
        )
    if isinstance(found, TokenMean):
        raise ValueError(
            f"TokenMean: loss must not be a TokenMean already, got {shown}. Use it as it is."
        )
    for *kinds, reason in _MIXES_STEPS:
        if kind(found) in kinds:
            raise ValueError(
                f"TokenMean: loss must have one value per step, got {shown}, which "
                f"{reason}. Use it without TokenMean."
            )
    if arguments(found).get("axis", -1) != -1:
        raise ValueError(
            f"TokenMean: loss must reduce the last axis, got {shown}. "
            "Move the features to the last axis and leave out `axis`."
        )
    return found
