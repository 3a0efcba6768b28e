"""KeepMask: the mask arrives behind any layer or function that keeps the steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask, KeepMask

MASK = [[True, True, False]]


def steps(mask=MASK, features=2):
    return AttachMask()([tf.ones([len(mask), len(mask[0]), features]), tf.constant(mask)])


def mask_behind(layer, h):
    mask = keras_mask(KeepMask(layer)(h))
    return mask.numpy().tolist()


class MadeByAUser(keras.layers.Layer):
    def call(self, inputs, mask=None):
        return inputs if mask is None else tf.where(mask[..., None], inputs, 0)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.EinsumDense("bld,de->ble", (None, 3)),
        keras.layers.RMSNormalization(),
        keras.layers.Conv1D(2, 3, padding="causal"),
        keras.layers.Lambda(lambda h: h + 1),
        keras.layers.Dense(3),
        keras.layers.LSTM(3, return_sequences=True),
        keras.Sequential([keras.layers.Dense(3), keras.layers.LSTM(2, return_sequences=True)]),
        MadeByAUser(),
        keras.ops.tanh,
        lambda h: h * 2,
        lambda h: h[..., 0],
        lambda h: h,
    ],
    ids=lambda layer: getattr(layer, "name", getattr(layer, "__name__", "")),
)
def test_the_mask_stays_without_a_warning(layer):
    assert mask_behind(layer, steps()) == MASK


def test_keras_drops_it_with_a_warning_or_in_silence():
    with pytest.warns(UserWarning, match="destroy the mask"):
        keras.layers.RMSNormalization()(steps())
    assert keras_mask(steps() * 2) is None


def test_the_layer_sees_the_mask_as_without():
    assert KeepMask(MadeByAUser())(steps()).numpy()[0, :, 0].tolist() == [1, 1, 0]
    lstm = keras.layers.LSTM(2, return_sequences=True)
    found = KeepMask(keras.Sequential([lstm]))(steps([[False, True, True]]))
    np.testing.assert_allclose(found[:, 1:], lstm(tf.ones([1, 2, 2])), atol=1e-6)


def test_a_mask_of_more_axes():
    mask = tf.constant([[[1, 0], [1, 1]]])
    h = AttachMask()([tf.ones([1, 2, 2, 3]), mask])
    assert keras_mask(KeepMask(keras.ops.tanh)(h)).numpy().tolist() == mask.numpy().tolist()


def test_of_several_masks_the_common_steps_count():
    one, other = steps([[True, True, False]]), steps([[False, True, True]])
    assert mask_behind(keras.layers.Add(), [one, other]) == [[False, True, False]]
    assert mask_behind(keras.layers.Add(), [tf.ones([1, 3, 2]), one]) == MASK
    assert mask_behind(lambda both: both[1], [one, tf.ones([1, 3, 2])]) == MASK
    assert keras_mask(keras.layers.Add()([tf.ones([1, 3, 2]), one])) is None


def test_a_mask_that_the_layer_makes_gives_way():
    zeros = AttachMask()([tf.zeros([1, 3, 2]), tf.constant(MASK)])
    assert mask_behind(keras.layers.Masking(), zeros) == MASK


def test_the_inputs_stay_as_they_are():
    bare, masked = tf.ones([1, 3, 2]), steps()
    KeepMask(lambda both: both[0])([bare, masked])
    assert keras_mask(bare) is None
    assert keras_mask(masked).numpy().tolist() == MASK


def test_training_reaches_the_layer():
    layer = KeepMask(keras.layers.Dropout(1.0))
    assert not np.any(layer(steps(), training=True))
    assert np.all(layer(steps(), training=False))


def test_weights_are_those_of_the_layer():
    layer = KeepMask(keras.layers.EinsumDense("bld,de->ble", (None, 3)))
    layer(steps())
    assert [w.shape for w in layer.trainable_weights] == [(2, 3)]


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv1D(2, 2),
        keras.layers.MaxPooling1D(2),
        keras.layers.LSTM(3),
        keras.layers.LSTM(3, return_sequences=True, return_state=True),
        keras.layers.Flatten(),
        lambda h: h[:, 1:],
        lambda h: [h, h],
    ],
)
@pytest.mark.parametrize("length", [3, None])
def test_what_does_not_keep_the_steps_is_refused(layer, length):
    words = r"must be one tensor with the steps of its input, got .* for \(None, .*\)\. Wrap what"
    h = AttachMask()([keras.Input((length, 2)), keras.Input((length,), dtype="bool")])
    if isinstance(layer, keras.layers.Layer):
        layer = layer.from_config(layer.get_config())
    with pytest.raises(ValueError, match=words):
        KeepMask(layer)(h)


def test_inputs_without_any_mask_are_refused():
    words = "KeepMask: the input must carry a mask, got None. Put AttachMask in front"
    for h in tf.ones([1, 3, 2]), [tf.ones([1, 3, 2])] * 2:
        with pytest.raises(ValueError, match=words):
            KeepMask(lambda h: h[0])(h) if isinstance(h, list) else KeepMask(keras.ops.tanh)(h)


@pytest.mark.parametrize("layer", [None, "add", keras.layers.Add, [keras.layers.Add()]])
def test_what_is_no_layer_is_refused(layer):
    with pytest.raises(ValueError, match=r"KeepMask: layer must be a layer or a function, got"):
        KeepMask(layer)
