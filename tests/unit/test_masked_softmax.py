"""MaskedSoftmax: shares over time and over features."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask, MaskedSoftmax

LOG_3 = float(np.log(3))


def scores(mask=((1, 0, 1),)):
    values = tf.constant([[[0.0, LOG_3], [1e30, -1e30], [LOG_3, LOG_3]]])
    return AttachMask()([values, tf.constant(mask)])


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (1, [[0.25, 0.5], [0, 0], [0.75, 0.5]]),
        (-1, [[0.25, 0.75], [0, 0], [0.5, 0.5]]),
        ((1, 2), [[0.1, 0.3], [0, 0], [0.3, 0.3]]),
    ],
)
def test_shares(axis, expected):
    out = MaskedSoftmax(axis=axis)(scores())
    np.testing.assert_allclose(out, [expected], rtol=1e-6)
    assert keras_mask(out).numpy().tolist() == [[1, 0, 1]]


def test_scores_with_no_features():
    h = AttachMask()([tf.constant([[1.0, 5.0, 1.0]]), tf.constant([[1, 0, 1]])])
    np.testing.assert_allclose(MaskedSoftmax()(h), [[0.5, 0, 0.5]])


@pytest.mark.parametrize("axis", [1, -1])
def test_rows_without_steps_are_0_and_have_a_gradient_of_0(axis):
    h = tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
    with tf.GradientTape() as tape:
        tape.watch(h)
        out = MaskedSoftmax(axis=axis)(AttachMask()([h, tf.zeros([1, 2])]))
        value = tf.reduce_sum(out * [1.0, 2.0])
    assert not np.any(out)
    assert not np.any(tape.gradient(value, h))


def test_the_share_of_an_only_step_is_1_whatever_its_score():
    h = tf.constant([[[1.0], [3.0]]])
    with tf.GradientTape() as tape:
        tape.watch(h)
        out = MaskedSoftmax(axis=1)(AttachMask()([h, tf.constant([[1, 0]])]))
    assert out.numpy().tolist() == [[[1], [0]]]
    assert not np.any(tape.gradient(out, h))


def test_extreme_scores_and_half_precision():
    h = AttachMask()([tf.constant([[-6e4, -6e4, 0.0]]), tf.constant([[1, 1, 0]])])
    assert MaskedSoftmax()(h).numpy().tolist() == [[0.5, 0.5, 0]]
    assert MaskedSoftmax(dtype="mixed_float16")(h).numpy().tolist() == [[0.5, 0.5, 0]]
    many = AttachMask()([tf.zeros([1, 70_000]), tf.ones([1, 70_000])])
    share = MaskedSoftmax(dtype="mixed_float16")(many)
    assert float(tf.reduce_sum(tf.cast(share, tf.float32))) == pytest.approx(1, rel=0.01)


def test_one_step_is_no_reason_to_warn():
    h = AttachMask()([tf.zeros([1, 1, 2]), tf.ones([1, 1])])
    assert MaskedSoftmax(axis=1)(h).numpy().tolist() == [[[1, 1]]]  # warnings are errors


def test_keras_takes_the_mask_for_another_axis():
    # [B, L] against [B, L, D] with B = L = D: columns of features are masked, not steps.
    mask = tf.constant([[1, 0], [1, 1]])
    h = AttachMask()([tf.zeros([2, 2, 2]), mask])
    assert keras.layers.Softmax()(h).numpy()[0].tolist() == [[1, 0], [0.5, 0.5]]
    assert MaskedSoftmax()(h).numpy()[0].tolist() == [[0.5, 0.5], [0, 0]]


def test_axes_survive_a_config():
    layer = keras.layers.deserialize(keras.layers.serialize(MaskedSoftmax(axis=[1, 2])))
    np.testing.assert_allclose(layer(scores()), [[[0.1, 0.3], [0, 0], [0.3, 0.3]]], rtol=1e-6)
