"""RepeatVector: the decoder has the steps of the rows, and their mask."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask, RepeatVector

MASK = np.array([[0, 1, 1], [1, 0, 0]])
VECTORS = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")


def test_each_valid_step_has_the_vector():
    out = RepeatVector()([VECTORS, AttachMask()([tf.fill([2, 3, 5], np.nan), MASK])])
    assert out.numpy().tolist() == [[[0, 0], [1, 2], [1, 2]], [[3, 4], [0, 0], [0, 0]]]
    np.testing.assert_array_equal(keras_mask(out), MASK)


def test_an_autoencoder_has_the_length_of_its_input():
    h, mask = keras.Input((None, 4)), keras.Input((None,), dtype="int8")
    masked = AttachMask()([h, mask])
    vectors = keras.layers.LSTM(3)(masked)
    out = RepeatVector()([vectors, masked])
    assert out.shape == (None, None, 3)
    model = keras.Model([h, mask], keras.layers.LSTM(2, return_sequences=True)(out))
    for length in 3, 5:
        padded = np.zeros((2, length), "int8")
        padded[:, :3] = MASK
        found = model([np.ones((2, length, 4)), padded])
        assert found.shape == (2, length, 2)
        np.testing.assert_array_equal(keras_mask(found), padded)


def test_steps_without_a_mask_are_refused():
    words = "RepeatVector: the second input must carry a mask, got None. Put AttachMask"
    with pytest.raises(ValueError, match=words):
        RepeatVector()([VECTORS, tf.ones([2, 3])])


@pytest.mark.parametrize(
    ("inputs", "got"),
    [
        (VECTORS, r"\(2, 2\)"),
        ([VECTORS], r"\[\(2, 2\)\]"),
        ([VECTORS, MASK[0]], r"\[\(2, 2\), \(3,\)\]"),
        ([np.ones((2, 3, 4)), MASK], r"\[\(2, 3, 4\), \(2, 3\)\]"),
    ],
)
def test_other_inputs_are_refused(inputs, got):
    with pytest.raises(ValueError, match=rf"\[B, D\] and \[B, L, \.\.\.\], got {got}\. Call it as"):
        RepeatVector()(inputs)
