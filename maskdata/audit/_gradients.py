"""A model and a batch -> the loss and its gradient by every weight, in inference."""

from typing import Any

import keras
import numpy as np

from maskdata.audit._recorded import Array


def loss_and_gradients(
    model: keras.Model, x: Any, y: Any, sample_weight: Any
) -> tuple[float, list[Array]]:
    """Return the compiled loss, with all that layers add, and its gradients."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _with_tensorflow(model, x, y, sample_weight)
    if backend == "jax":
        return _with_jax(model, x, y, sample_weight)
    raise NotImplementedError(f"no gradients on the {backend} backend")


def loss_of(model: keras.Model, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> Any:
    """Return the compiled loss of predictions."""
    return model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)


def flat(gradients: list[Array]) -> Array:
    """Return all gradients as one vector."""
    return np.concatenate([np.ravel(g).astype("float64") for g in gradients] or [np.zeros(1)])


def distance(one: Array, other: Array) -> float:
    """Return the distance of two vectors, relative to the first."""
    by = np.linalg.norm(one - other) / max(float(np.linalg.norm(one)), 1e-12)
    return float(by) if np.isfinite(by) else np.inf


def _with_tensorflow(
    model: keras.Model, x: Any, y: Any, sample_weight: Any
) -> tuple[float, list[Array]]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = loss_of(model, x, y, model(x, training=False), sample_weight)
    variables = [variable.value for variable in model.trainable_variables]
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    return float(loss), [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]


def _with_jax(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> tuple[float, list[Array]]:
    import jax

    variables = model.trainable_variables

    def loss(values: list[Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return loss_of(model, x, y, model(x, training=False), sample_weight)

    value, gradients = jax.value_and_grad(loss)([variable.value for variable in variables])
    return float(value), [np.asarray(gradient) for gradient in gradients]
