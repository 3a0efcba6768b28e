"""MaskedGlobalAveragePooling1D and MaskedGlobalMaxPooling1D: long rows, empty rows, holes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata.layers import AttachMask, MaskedGlobalAveragePooling1D, MaskedGlobalMaxPooling1D
from tests.unit.test_masked_conv1d import steps

BOTH = pytest.mark.parametrize("pooling", [MaskedGlobalAveragePooling1D, MaskedGlobalMaxPooling1D])


def test_valid_steps_count_and_no_others():
    h = steps([-1.0, None, -3.0, None], [None, None, 4.0, 8.0])
    assert MaskedGlobalAveragePooling1D()(h).numpy().tolist() == [[-2], [6]]
    assert MaskedGlobalMaxPooling1D()(h).numpy().tolist() == [[-1], [8]]
    assert MaskedGlobalMaxPooling1D(keepdims=True)(h).numpy().tolist() == [[[-1]], [[8]]]


def value_and_gradient(layer, h, mask):
    with tf.GradientTape() as tape:
        tape.watch(h)
        out = layer(AttachMask()([h, mask]))
    return out.numpy(), tape.gradient(out, h).numpy()


@BOTH
@pytest.mark.parametrize("filling", [9.0, np.inf, np.nan])
def test_a_row_without_steps_is_0_and_so_is_its_gradient(pooling, filling):
    out, gradient = value_and_gradient(pooling(), tf.fill([1, 3, 2], filling), tf.zeros([1, 3]))
    assert out.tolist() == [[0, 0]]
    assert not gradient.any()


def test_keras_gives_nan_there():
    h = AttachMask()([tf.ones([1, 3, 2]), tf.zeros([1, 3])])
    assert np.isnan(keras.layers.GlobalAveragePooling1D()(h)).all()


@BOTH
@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 4, 3)])
def test_batches_without_steps_or_rows(pooling, shape):
    out = pooling()(AttachMask()([tf.ones(shape), tf.ones(shape[:2])]))
    assert out.numpy().tolist() == [[0.0] * 3] * shape[0]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_long_rows_in_half_precision(policy):
    h = AttachMask()([tf.ones([2, 70_000, 8]), tf.ones([2, 70_000])])
    assert (MaskedGlobalAveragePooling1D(dtype=policy)(h).numpy() == 1).all()
    assert (MaskedGlobalMaxPooling1D(dtype=policy)(h).numpy() == 1).all()


def test_keras_adds_up_in_half_precision():
    h = AttachMask()([tf.ones([2, 70_000, 8]), tf.ones([2, 70_000])])
    assert not keras.layers.GlobalAveragePooling1D(dtype="mixed_float16")(h).numpy().any()


@BOTH
def test_another_data_format_is_refused(pooling):
    with pytest.raises(ValueError, match="data_format must be 'channels_last', got 'channels_fi"):
        pooling(data_format="channels_first")
