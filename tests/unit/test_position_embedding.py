"""PositionEmbedding: positions count valid steps; steps that have none are seen."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask, PositionEmbedding


def positions(mask, sequence_length=4):
    """Return which vector is added at each step."""
    layer = PositionEmbedding(sequence_length)
    layer.build((None, None, 1))
    layer.embeddings.assign(np.arange(sequence_length)[:, None])
    h = AttachMask()([tf.zeros([*np.shape(mask), 1]), tf.constant(mask)])
    out = layer(h)
    np.testing.assert_array_equal(keras_mask(out), mask)
    return np.where(mask, out[..., 0], -1).tolist()


def test_positions_count_from_the_first_valid_step():
    mask = [[1, 1, 1, 0], [0, 0, 1, 1], [1, 0, 1, 1], [0, 0, 0, 0]]
    assert positions(mask) == [[0, 1, 2, -1], [-1, -1, 0, 1], [0, -1, 1, 2], [-1] * 4]


def test_the_padded_length_may_be_larger_than_the_table():
    assert positions([[1, 1] + [0] * 9], sequence_length=2) == [[0, 1] + [-1] * 9]


def test_a_step_beyond_the_table_is_not_a_number():
    found = positions([[1, 1, 1]], sequence_length=2)
    assert found[0][:2] == [0, 1]
    assert np.isnan(found[0][2])


def test_mixed_precision():
    layer = PositionEmbedding(3, initializer="ones", dtype="mixed_float16")
    out = layer(AttachMask()([tf.ones([1, 2, 4]), tf.ones([1, 2])]))
    assert out.dtype == tf.float16
    assert layer.embeddings.dtype == "float32"
    assert (out.numpy() == 2).all()


def test_its_gradient_is_dense():
    # As that of a slice, and not of an Embedding: every vector is part of each optimizer step.
    layer = PositionEmbedding(3)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(AttachMask()([tf.ones([1, 2, 4]), tf.ones([1, 2])])))
    gradient = tape.gradient(value, layer.embeddings.value)
    assert isinstance(gradient, tf.Tensor)
    assert gradient[:, 0].numpy().tolist() == [1, 1, 0]


def test_config_round_trip():
    layer = PositionEmbedding(3, initializer=keras.initializers.Constant(5))
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert (again.sequence_length, again.initializer.value) == (3, 5)


@pytest.mark.parametrize("wrong", [0, -1, 2.0, None])
def test_an_impossible_length_is_refused(wrong):
    with pytest.raises(
        ValueError, match=rf"sequence_length must be an int of at least 1, got {wrong}"
    ):
        PositionEmbedding(wrong)
