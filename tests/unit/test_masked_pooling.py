"""MaskedAveragePooling1D and MaskedMaxPooling1D: windows and their masks, counted by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask, MaskedAveragePooling1D, MaskedMaxPooling1D
from tests.unit.test_masked_conv1d import ROWS, listed, steps

BOTH = pytest.mark.parametrize("pooling", [MaskedAveragePooling1D, MaskedMaxPooling1D])


@pytest.mark.parametrize(
    ("arguments", "averages", "maxima"),
    [
        (
            {"padding": "same"},
            ([1.5, 4, None], [None, 1.5, 6]),
            ([2, 4, None], [None, 2, 8]),
        ),
        ({"padding": "valid"}, ([1.5, None], [1.5, 6]), ([2, None], [2, 8])),
        (
            {"padding": "same", "strides": 1},
            ([1.5, 3, 4, None, None], [None, 1.5, 3, 6, 8]),
            ([2, 4, 4, None, None], [None, 2, 4, 8, 8]),
        ),
        (
            {"padding": "valid", "strides": 1},
            ([1.5, 3, None, None], [None, 1.5, 3, 6]),
            ([2, 4, None, None], [None, 2, 4, 8]),
        ),
        ({"padding": "same", "strides": 3}, ([1.5, None], [1.5, 8]), ([2, None], [2, 8])),
    ],
)
def test_each_row_stands_alone(arguments, averages, maxima):
    assert listed(MaskedAveragePooling1D(2, **arguments)(steps(*ROWS))) == list(averages)
    assert listed(MaskedMaxPooling1D(2, **arguments)(steps(*ROWS))) == list(maxima)


@BOTH
def test_negative_numbers_beat_the_padding_and_masked_steps_are_0(pooling):
    out = pooling(2, padding="same")(steps([-1.0, -1.0, -3.0, None, None, None]))
    assert out[..., 0].numpy().tolist() == [[-1, -3, 0]]


def test_a_masked_step_between_valid_ones_is_left_out():
    h = steps([1.0, None, 4.0, 8.0, None, None, 2.0])
    assert listed(MaskedAveragePooling1D(2, padding="same")(h)) == [[1, 6, 0, 2]]
    assert listed(MaskedMaxPooling1D(2, padding="same")(h)) == [[1, 8, 0, 2]]


@BOTH
def test_rows_that_are_too_short(pooling):
    # Keras refuses them, or TensorFlow 2.21 stops the process (MaxPooling1D(3, strides=2)).
    out = pooling(3, strides=2)(steps([1.0], [None]))
    assert listed(out) == [[None], [None]]
    assert not np.any(out)


@BOTH
def test_half_precision_adds_up_in_float32(pooling):
    h = AttachMask()([tf.ones([1, 5000, 1], tf.float16), tf.ones([1, 5000])])
    assert pooling(5000, dtype="mixed_float16")(h).numpy().tolist() == [[[1.0]]]


@BOTH
def test_whole_numbers_become_those_of_the_layer(pooling):
    h = AttachMask()([tf.constant([[[1], [3], [9]]]), tf.constant([[1, 1, 0]])])
    assert pooling(1)(h).numpy().tolist() == [[[1.0], [3.0], [0.0]]]


@BOTH
@pytest.mark.parametrize("length", [5, None])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_shapes_are_known_beforehand(pooling, length, padding):
    h, mask = keras.Input((length, 4)), keras.Input((length,), dtype="bool")
    out = pooling(2, padding=padding)(AttachMask()([h, mask]))
    assert out.shape == pooling.__mro__[1](2, padding=padding)(h).shape
    assert keras_mask(out).shape == out.shape[:2]


@BOTH
def test_other_arguments_are_refused(pooling):
    with pytest.raises(ValueError, match=r"padding must be 'valid' or 'same', got 'SAME'\. Write"):
        pooling(2, padding="SAME")
    with pytest.raises(ValueError, match="data_format must be 'channels_last', got 'channels_fi"):
        pooling(2, data_format="channels_first")
