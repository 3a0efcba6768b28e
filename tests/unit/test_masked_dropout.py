"""MaskedDropout: the chance is right, the noise looks like noise, and padding changes none of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask, MaskedDropout

SHAPE = 16, 50, 64


def ones(shape=SHAPE, mask=None):
    return AttachMask()([tf.ones(shape), tf.ones(shape[:2]) if mask is None else mask])


def dropped(layer, *shape):
    return layer(ones(*shape), training=True).numpy() == 0


def correlation(one, other):
    """Return the correlation in units of what chance alone gives."""
    one, other = one - one.mean(), other - other.mean()
    return (one * other).mean() / (one.std() * other.std()) * np.sqrt(one.size)


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.9])
def test_chance_and_scale(rate):
    out = MaskedDropout(rate, seed=1)(ones(), training=True).numpy()
    error = np.sqrt(rate * (1 - rate) / out.size)
    assert abs((out == 0).mean() - rate) < 4 * error
    np.testing.assert_allclose(out[out != 0], 1 / (1 - rate), rtol=1e-6)


def test_neighbours_and_calls_have_nothing_in_common():
    layer = MaskedDropout(0.3, seed=1)
    noise = dropped(layer).astype(float)
    pairs = {
        "features": (noise[:, :, 1:], noise[:, :, :-1]),
        "steps": (noise[:, 1:], noise[:, :-1]),
        "rows": (noise[1:], noise[:-1]),
        "diagonals": (noise[:, 1:, 1:], noise[:, :-1, :-1]),
        "calls": (noise, dropped(layer).astype(float)),
        "seeds": (noise, dropped(MaskedDropout(0.3, seed=2)).astype(float)),
    }
    found = {name: correlation(*pair) for name, pair in pairs.items()}
    assert max(map(abs, found.values())) < 4, found
    # As even as independent noise over each axis: the variance of means is what it should be.
    for axes in (0, 1), (0, 2), (1, 2):
        means = noise.mean(axis=axes)
        assert means.var() * noise.size / means.size / 0.21 == pytest.approx(1, abs=0.7)


def test_rows_features_and_axes_may_be_added():
    few = dropped(MaskedDropout(0.5, seed=1), (2, 3, 4))
    many = dropped(MaskedDropout(0.5, seed=1), (5, 9, 7))
    np.testing.assert_array_equal(many[:2, :3, :4], few)
    assert 0.3 < dropped(MaskedDropout(0.5, seed=1), (4, 5, 6, 7)).mean() < 0.7
    assert 0.3 < dropped(MaskedDropout(0.5, seed=1), (40, 5)).mean() < 0.7


def test_the_side_of_the_padding_changes_nothing():
    noise = [
        dropped(MaskedDropout(0.5, seed=1), (1, 6, 4), tf.constant([mask]))[0][np.array(mask) == 1]
        for mask in ([1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 1, 0])
    ]
    np.testing.assert_array_equal(noise[0], noise[1])
    np.testing.assert_array_equal(noise[0], noise[2])


def test_graphs_and_xla_drop_the_same_values():
    noise = dropped(MaskedDropout(0.5, seed=1), (3, 4, 5))
    for jit in False, True:
        layer = MaskedDropout(0.5, seed=1)

        @tf.function(jit_compile=jit, autograph=False)
        def run(h, layer=layer):
            return layer(AttachMask()([h, tf.ones([3, 4])]), training=True)

        np.testing.assert_array_equal(run(tf.ones([3, 4, 5])) == 0, noise)


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_rates_at_the_ends_and_inference(rate):
    layer, h = MaskedDropout(rate), ones((1, 2, 3))
    assert np.all(layer(h).numpy() == 1)
    assert np.all(layer(h, training=True).numpy() != 1) == (rate > 0)
    assert np.any(layer(h, training=True)) == (rate < 1) or rate == 0.5
    np.testing.assert_array_equal(keras_mask(layer(h, training=True)), [[1, 1]])


def test_half_precision():
    out = MaskedDropout(0.5, seed=1, dtype="mixed_float16")(ones((2, 3, 4)), training=True)
    assert out.dtype == tf.float16
    np.testing.assert_array_equal(out == 0, dropped(MaskedDropout(0.5, seed=1), (2, 3, 4)))


def test_a_saved_model_starts_with_the_seed_again(tmp_path):
    # As with keras.layers.Dropout: Keras 3.15 saves the seed, not how often noise was made.
    h, mask = keras.Input((None, 3)), keras.Input((None,))
    model = keras.Model([h, mask], MaskedDropout(0.5, seed=1)(AttachMask()([h, mask])))
    batch = [np.ones((2, 3, 3)), np.ones((2, 3))]
    first = model(batch, training=True)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(batch, training=True), first)


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(ValueError, match="Expected a float value between 0 and 1"):
        MaskedDropout(rate)
