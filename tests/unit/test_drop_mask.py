"""DropMask: the mask ends, without a warning, and the tensor goes on unchanged."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata.layers import AttachMask, DropMask


def masked(dtype="float32"):
    h = tf.constant([[[1], [3], [8]]], dtype)
    return AttachMask()([h, tf.constant([[1, 1, 0]])])


def mask_of(tensor):
    return getattr(tensor, "_keras_mask", None)


def test_the_mask_ends_on_the_output_and_stays_on_the_input():
    h = masked()
    out = DropMask()(h)
    assert mask_of(out) is None
    assert mask_of(h).numpy().tolist() == [[True, True, False]]
    np.testing.assert_array_equal(out, h)


def test_keras_warns_in_the_same_place_without_it():
    with pytest.warns(UserWarning, match="destroy the mask"):
        keras.layers.Flatten()(masked())
    assert keras.layers.Flatten()(DropMask()(masked())).shape == (1, 3)  # warnings are errors


def test_a_tensor_without_a_mask_passes_through():
    h = tf.ones((1, 2, 3))
    np.testing.assert_array_equal(DropMask()(h), h)


@pytest.mark.parametrize("dtype", ["int32", "float16", "float32"])
def test_values_shape_and_dtype_stay_under_mixed_precision(dtype):
    layer = DropMask(dtype="mixed_bfloat16")
    out = layer(masked(dtype))
    assert (out.dtype, out.shape) == (dtype, (1, 3, 1))
    symbolic = layer(keras.Input((None, 1), dtype=dtype))
    assert (symbolic.dtype, symbolic.shape) == (dtype, (None, None, 1))
    assert layer.compute_output_shape((1, None, 1)) == (1, None, 1)


def two_means():
    h, mask = keras.Input((None, 1)), keras.Input((None,), dtype="int8")
    attached = AttachMask()([h, mask])
    mean = keras.layers.GlobalAveragePooling1D
    return keras.Model([h, mask], [mean()(DropMask()(attached)), mean()(attached)])


@pytest.mark.parametrize("way", ["as built", "jit", "reloaded", "cloned"])
def test_models_drop_the_mask_on_one_branch_only(way, tmp_path):
    model = two_means()
    if way == "reloaded":
        model.save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras")
    elif way == "cloned":
        model = keras.models.clone_model(model)
    model.compile(jit_compile=way == "jit")
    inputs = [np.array([[[1.0], [3.0], [8.0]]], "float32"), np.array([[1, 1, 0]], "int8")]
    unmasked_mean, masked_mean = model.predict(inputs, verbose=0)
    assert (unmasked_mean.tolist(), masked_mean.tolist()) == ([[4.0]], [[2.0]])


def test_config_round_trip():
    again = keras.layers.deserialize(keras.layers.serialize(DropMask(name="end")))
    assert (type(again), again.name) == (DropMask, "end")
