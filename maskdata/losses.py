"""(y_true, y_pred, sample_weight) -> one number: the mean loss of the valid steps."""

import inspect
from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor, fits, keras_mask

_KERAS_LOSSES = tuple(vars(keras.losses).values())
_OF_CLASS_NUMBERS = (
    keras.losses.SparseCategoricalCrossentropy,
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.CategoricalGeneralizedCrossEntropy,
    keras.losses.categorical_generalized_cross_entropy,
)
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

    The weight of a step is its sample weight times the Keras mask on `y_pred`; either, both or
    neither may be given. Padding counts nowhere: value and gradients are those of the
    unpadded sequences, the gradient of `y_pred` is exactly zero at steps of weight zero, and
    their labels and predictions are never looked at, so that NaN, infinities and illegal class
    numbers do no harm there. If all weights are zero, the mean is 0.

    A mask that the wrapped loss makes itself (`ignore_class`) counts as well. Its `reduction`
    and `dtype` are not used: nothing is averaged or masked twice.

    Args:
        loss: Any loss of Keras with one value per step, or your own: a name, a function
            `(y_true, y_pred) -> loss` that reduces the last axis and no other, or a `Loss`.
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
            Tversky, or an `axis` other than the last). When called, for labels, weights or
            a mask of another shape.
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

    def __init__(self, loss: Any, name: str | None = None, dtype: Any = None) -> None:
        given = keras.dtype_policies.get(dtype or keras.config.floatx()).compute_dtype
        super().__init__(
            name=name or "token_mean",
            reduction="mean_with_sample_weight",
            dtype=keras.backend.result_type(given, "float32"),
        )
        self._loss = _loss_per_step(loss)
        self._given_loss = loss if isinstance(loss, str) else self._loss
        self._given_dtype = given if dtype else None

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the wrapped loss of every step, without any weight."""
        if isinstance(self._loss, keras.losses.Loss):
            return self._loss.call(y_true, y_pred)
        return self._loss(y_true, y_pred)

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        """Return the mean, in place of Keras' own `__call__`, which would weigh once more."""
        mask = keras_mask(y_pred)
        with keras.name_scope(self.name):
            y_true, y_pred = self._labels_and_predictions(y_true, y_pred)
            steps = tuple(y_pred.shape[:-1])
            given = []
            if sample_weight is not None:
                sample_weight = ops.convert_to_tensor(sample_weight, self.dtype)
                _check_steps("sample_weight", sample_weight, steps, "Give one weight per step.")
                given.append(sample_weight)
            if mask is not None:
                _check_steps("the mask on y_pred", mask, steps, "Put DropMask before the loss.")
                given.append(ops.cast(ops.cast(mask, "bool"), self.dtype))

            ones = [ops.ones(ops.shape(y)[: len(steps)], self.dtype) for y in (y_true, y_pred)]
            weights = _product([*ones, *given])
            if given:
                # Before the loss, not after it: a NaN inside would still spoil the gradients.
                # 0 and 0.5 are legal for class numbers, probabilities, logits and numbers.
                valid = ops.not_equal(weights, 0)
                y_true, y_pred = _where(valid, y_true, 0.0), _where(valid, y_pred, 0.5)

            losses = self.call(y_true, y_pred)
            _check_steps("the wrapped loss", losses, steps, "Reduce the last axis and no other.")
            own_mask = keras_mask(losses)
            losses = ops.convert_to_tensor(losses, self.dtype)
            own = ops.ones_like(losses) if own_mask is None else ops.cast(own_mask, self.dtype)
            weights = _product([weights, own])
            losses = _where(ops.not_equal(weights, 0), losses, 0.0)
            return ops.divide_no_nan(ops.sum(losses * weights), _sum_of_weights(weights))

    def _labels_and_predictions(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        y_true, y_pred = (ops.convert_to_tensor(y, self.dtype) for y in (y_true, y_pred))
        if len(y_pred.shape) == 1:
            y_pred = ops.expand_dims(y_pred, -1)
        if len(y_true.shape) == 1 and len(y_pred.shape) == 2 and y_pred.shape[-1] == 1:
            y_true = ops.expand_dims(y_true, -1)

        labels, predictions = tuple(y_true.shape), tuple(y_pred.shape)
        rank = len(predictions)
        if _kind(self._loss) in _KERAS_LOSSES and _kind(self._loss) not in _OF_CLASS_NUMBERS:
            axes, legal = "the axes", fits(labels, predictions)
        else:
            axes, legal = "the leading axes", fits(labels[: rank - 1], predictions[:-1])
            # Keras would squeeze [B, L, 1] to [B, L] and average over time.
            legal = legal and (len(labels) >= rank or predictions[-1] != 1)
        if not legal:
            raise ValueError(
                f"TokenMean: y_true must have {axes} of y_pred {predictions}, got {labels}. "
                "Add or remove axes there; nothing is squeezed or broadcast here."
            )
        return y_true, y_pred

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, the wrapped loss in Keras' own serialised form."""
        loss = self._given_loss
        loss = loss if isinstance(loss, str) else _serialize(loss)
        return {"loss": loss, "name": self.name, "dtype": self._given_dtype}

    def __repr__(self) -> str:
        text = _as_call(self._given_loss)
        if self.name != "token_mean":
            text += f", name={self.name!r}"
        if self._given_dtype is not None:
            text += f", dtype={self._given_dtype!r}"
        return f"TokenMean({text})"


def _loss_per_step(loss: Any) -> Any:
    """Return the function or `Loss` that `loss` stands for, or refuse it."""
    try:
        found = keras.losses.get(loss)
    except ValueError:
        found = None
    shown = repr(loss) if isinstance(loss, str) or found is None else _as_call(found)
    if found is None:
        raise ValueError(
            f"TokenMean: loss must be a loss of Keras, a function or a Loss, got {shown}. "
            "For example 'sparse_categorical_crossentropy'."
        )
    for *kinds, reason in _MIXES_STEPS:
        if _kind(found) in kinds:
            raise ValueError(
                f"TokenMean: loss must have one value per step, got {shown}, which "
                f"{reason}. Use it without TokenMean."
            )
    if _arguments(found).get("axis", -1) != -1:
        raise ValueError(
            f"TokenMean: loss must reduce the last axis, got {shown}. "
            "Move the features to the last axis and leave out `axis`."
        )
    return found


def _sum_of_weights(weights: Tensor) -> Tensor:
    """Return what the mean divides by."""
    return ops.sum(weights)


def _product(factors: list[Tensor]) -> Tensor:
    """Multiply tensors of one shape. Zero times anything is zero, NaN too."""
    # `stack` never broadcasts: shapes that are known only at run time are checked here.
    stacked = ops.stack(factors)
    return ops.where(ops.any(ops.equal(stacked, 0), axis=0), 0.0, ops.prod(stacked, axis=0))


def _where(valid: Tensor, values: Tensor, otherwise: float) -> Tensor:
    """Replace the values of the steps that are not valid."""
    while len(valid.shape) < len(values.shape):
        valid = ops.expand_dims(valid, -1)
    return ops.where(valid, values, otherwise)


def _check_steps(what: str, tensor: Tensor, steps: Shape, remedy: str) -> None:
    shape = tuple(tensor.shape)
    if not fits(shape, steps):
        raise ValueError(
            f"TokenMean: {what} must have the loss's shape {steps}, got {shape}. {remedy}"
        )


def _kind(loss: Any) -> Any:
    """Return the class of a `Loss`, or the function itself."""
    return type(loss) if isinstance(loss, keras.losses.Loss) else loss


def _arguments(loss: Any) -> dict[str, Any]:
    """Return the arguments that a loss was made with.

    Keras 3.15.1 leaves Huber's `delta` and two losses' `axis` out of `get_config`
    (https://github.com/keras-team/keras/pull/23286), but not out of this private attribute.
    """
    if not isinstance(loss, keras.losses.Loss):
        return {}
    return {**loss.get_config(), **getattr(loss, "_fn_kwargs", {})}


def _serialize(loss: Any) -> Any:
    serialized = keras.losses.serialize(loss)
    if type(loss) in _KERAS_LOSSES:
        serialized["config"] = _arguments(loss)
    return serialized


def _as_call(loss: Any) -> str:
    """Write a loss as in source code, without what has no effect here."""
    if isinstance(loss, TokenMean) or not isinstance(loss, keras.losses.Loss):
        return getattr(loss, "__name__", repr(loss))
    parameters = inspect.signature(type(loss)).parameters
    shown = [
        f"{name}={value!r}"
        for name, value in _arguments(loss).items()
        if name in parameters
        and name not in ("name", "reduction", "dtype")
        and value != parameters[name].default
    ]
    return f"{type(loss).__name__}({', '.join(shown)})"
