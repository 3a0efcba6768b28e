"""Labels, predictions, weights, masks -> the weight of every step, and nothing else to see."""

from typing import Any

from keras import ops

from maskdata import _labels
from maskdata._keras_objects import is_elementwise
from maskdata._masks import Shape, Tensor, fits


def align(who: str, y_true: Tensor, y_pred: Tensor, *, elementwise: bool) -> tuple[Tensor, Tensor]:
    """Return labels and predictions [steps, ...] of shapes that fit, or refuse them.

    Elementwise labels have the axes of the predictions; others (class numbers, and the labels of
    somebody's own function) have their leading axes.
    """
    if len(y_pred.shape) == 1:
        y_pred = ops.expand_dims(y_pred, -1)
    if len(y_true.shape) == 1 and len(y_pred.shape) == 2 and y_pred.shape[-1] == 1:
        y_true = ops.expand_dims(y_true, -1)

    labels, predictions = tuple(y_true.shape), tuple(y_pred.shape)
    rank = len(predictions)
    if elementwise:
        axes, legal = "the axes", fits(labels, predictions)
    else:
        axes, legal = "the leading axes", fits(labels[: rank - 1], predictions[:-1])
        # Keras would squeeze [B, L, 1] to [B, L] and average over time.
        legal = legal and (len(labels) >= rank or predictions[-1] != 1)
    if not legal:
        raise ValueError(
            f"{who}: y_true must have {axes} of y_pred {predictions}, got {labels}. "
            "Add or remove axes there; nothing is squeezed or broadcast here."
        )
    return y_true, y_pred


def weigh(
    who: str,
    of: Any,
    y_true: Tensor,
    y_pred: Tensor,
    dtype: str,
    *,
    sample_weight: Tensor,
    mask: Tensor,
    ignore_value: _labels.IgnoreValue,
    class_weight: _labels.ClassWeight = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return clean labels and predictions [steps, ...] and the weight of every step.

    `of` is the loss or metric, which says what labels are. The weight is the product of all that
    is given. Steps of weight 0 show the label 0 and the prediction 0.5: legal for class
    numbers, probabilities, logits and numbers.
    """
    y_true, y_pred = align(who, y_true, y_pred, elementwise=is_elementwise(of))
    steps = tuple(y_pred.shape[:-1])
    factors = []
    if sample_weight is not None:
        factors.append(ops.convert_to_tensor(sample_weight, dtype))
        check_shape(who, "sample_weight", factors[-1], steps, "Give one weight per step.")
    if mask is not None:
        factors.append(ops.cast(ops.cast(mask, "bool"), dtype))
        check_shape(who, "the mask on y_pred", factors[-1], steps, "Put DropMask before the loss.")
    labels = who, of, y_true, len(steps)
    if ignore_value is not None:
        factors.append(ops.cast(ops.logical_not(_labels.is_label(*labels, ignore_value)), dtype))
    if class_weight is not None:
        factors.append(ops.cast(_labels.weight_of_class(*labels, class_weight), dtype))

    ones = [ops.ones(ops.shape(y)[: len(steps)], dtype) for y in (y_true, y_pred)]
    weights = product([*ones, *factors])
    if factors:
        valid = ops.not_equal(weights, 0)
        y_true, y_pred = where(valid, y_true, 0), where(valid, y_pred, 0.5)
    return y_true, y_pred, weights


def product(factors: list[Tensor]) -> Tensor:
    """Multiply tensors of one shape. Zero times anything is zero, NaN too."""
    # `stack` never broadcasts: shapes that are known only at run time are checked here.
    stacked = ops.stack(factors)
    return ops.where(ops.any(ops.equal(stacked, 0), axis=0), 0.0, ops.prod(stacked, axis=0))


def where(valid: Tensor, values: Tensor, otherwise: float) -> Tensor:
    """Replace the values of the steps that are not valid."""
    while len(valid.shape) < len(values.shape):
        valid = ops.expand_dims(valid, -1)
    return ops.where(valid, values, ops.cast(otherwise, values.dtype))


def check_shape(who: str, what: str, tensor: Tensor, steps: Shape, remedy: str) -> None:
    """Refuse a tensor that has not exactly one value per step."""
    shape = tuple(tensor.shape)
    if not fits(shape, steps):
        raise ValueError(
            f"{who}: {what} must have the shape of the steps {steps}, got {shape}. {remedy}"
        )


def end_to_end(tensor: Tensor, steps: int) -> Tensor:
    """Flatten the first `steps` axes into one."""
    return ops.reshape(tensor, (-1, *ops.shape(tensor)[steps:]))
