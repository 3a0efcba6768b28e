"""MaskedGroupNormalization: statistics of valid steps, and Keras' numbers without padding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata.layers import AttachMask, MaskedGroupNormalization


@pytest.mark.parametrize("groups", [1, 2, -1])
@pytest.mark.parametrize("shape", [(2, 5, 4), (2, 5, 3, 4)])
def test_without_padding_it_is_keras(groups, shape):
    h = tf.random.stateless_normal(shape, seed=[1, 2], mean=3)
    weights = {"beta_initializer": "ones", "gamma_initializer": keras.initializers.Constant(2)}
    stock = keras.layers.GroupNormalization(groups, **weights)
    ours = MaskedGroupNormalization(groups, **weights)
    np.testing.assert_allclose(ours(AttachMask()([h, tf.ones([2, 5])])), stock(h), atol=2e-6)


@pytest.mark.parametrize("arguments", [{}, {"center": False}, {"scale": False}])
def test_only_valid_steps_count_and_others_are_0(arguments):
    h = AttachMask()([tf.constant([[[1.0], [1e30], [3.0]]]), tf.constant([[1, 0, 1]])])
    out = MaskedGroupNormalization(1, epsilon=1e-12, **arguments)(h)
    np.testing.assert_allclose(out, [[[-1], [0], [1]]], atol=1e-6)


def test_a_row_without_steps_is_0_and_has_a_gradient_of_0():
    h = tf.fill([1, 2, 2], 1e30)
    with tf.GradientTape() as tape:
        tape.watch(h)
        out = MaskedGroupNormalization(1)(AttachMask()([h, tf.zeros([1, 2])]))
    assert not np.any(out)
    assert not np.any(tape.gradient(out, h))


def test_half_precision_has_float32_statistics():
    values = np.where(np.arange(4000) % 2, 300.0, -300.0).reshape(1, 2000, 2)
    h = AttachMask()([tf.constant(values, tf.float16), tf.ones([1, 2000])])
    out = MaskedGroupNormalization(1, dtype="mixed_float16")(h)
    assert out.dtype == tf.float16
    assert set(np.unique(out)) == {-1, 1}


def test_another_axis_is_refused():
    with pytest.raises(ValueError, match=r"MaskedGroupNormalization: axis must be -1, got 1\. Put"):
        MaskedGroupNormalization(1, axis=1)
