"""What the tests of invariance share: rows padded by hand, and a loss with its gradient."""

import numpy as np
import tensorflow as tf

from maskdata.layers import AttachMask


def pad(rows, length, filling):
    """Return the rows as one array; the slots past their ends hold `filling`."""
    padded = np.full((len(rows), length, *rows[0].shape[1:]), filling, "float32")
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded


def value_and_gradient(loss, y_true, y_pred, sample_weight=None, mask=None):
    """Return the loss, and its gradient by `y_pred`, which carries the mask if there is one."""
    y_pred = tf.constant(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        masked = y_pred if mask is None else AttachMask()([y_pred, mask])
        value = loss(y_true, masked, sample_weight)
    return value.numpy(), tape.gradient(value, y_pred).numpy()
