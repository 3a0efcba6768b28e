"""MaskedMultiHeadAttention: who sees whom, whose mask stays, and what Keras does instead."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask, MaskedMultiHeadAttention

MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)


def steps(mask=MASK, seed=0):
    values = np.random.default_rng(seed).normal(size=(*mask.shape, 4)).astype("float32")
    return AttachMask()([tf.where(mask[..., None], values, 1e30), tf.constant(mask)])


def attention(**kwargs):
    return MaskedMultiHeadAttention(2, 3, **kwargs)


def scores(query, value, **kwargs):
    """Return which keys the queries of the first head see."""
    seen = attention()(query, value, return_attention_scores=True, **kwargs)[1]
    return (seen[:, 0].numpy() > 0).astype(int).tolist()


def test_valid_queries_see_valid_keys():
    assert scores(steps(), steps()) == [
        [[1, 1, 1, 0]] * 3 + [[0, 0, 0, 0]],
        [[1, 0, 0, 0]] + [[0, 0, 0, 0]] * 3,
    ]


def test_causal_places_count_valid_steps():
    left = MASK[:1, ::-1]
    triangle = [[0] * 4, [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
    assert scores(steps(left), steps(left), use_causal_mask=True) == [triangle]
    # Queries padded on the right, memory on the left: the same triangle.
    assert scores(steps(MASK[:1]), steps(left), use_causal_mask=True) == [[*triangle[1:], [0] * 4]]


def test_a_mask_of_pairs_counts_beside_the_padding():
    pairs = np.ones((2, 4, 4), bool)
    pairs[0, 1] = False
    for given in pairs, pairs[:, None]:
        assert scores(steps(), steps(), attention_mask=given)[0] == [
            [1, 1, 1, 0],
            [0, 0, 0, 0],
            [1, 1, 1, 0],
            [0, 0, 0, 0],
        ]


def test_it_has_the_weights_and_numbers_of_keras():
    ours = attention(value_dim=5, use_gate=True, output_shape=6)
    stock = keras.layers.MultiHeadAttention(2, 3, value_dim=5, use_gate=True, output_shape=6)
    for layer in ours, stock:
        layer.build((None, None, 4), (None, None, 4))
    stock.set_weights(ours.get_weights())
    h = tf.random.stateless_normal([2, 4, 4], seed=[1, 2])
    masked = AttachMask()([h, tf.ones([2, 4])])
    expected = stock(h, h, return_attention_scores=True)
    found = ours(masked, masked, return_attention_scores=True)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(ours(masked, masked), expected[0], atol=1e-6)


@pytest.mark.parametrize("kind", [MaskedMultiHeadAttention, keras.layers.MultiHeadAttention])
def test_masks_of_the_inputs_stay(kind):
    query, value, key = steps(seed=0), steps(seed=1), steps(seed=2)
    kind(2, 3)(query, value, key)
    kept = [keras_mask(tensor) is not None for tensor in (query, value, key)]
    assert all(kept) == (kind is MaskedMultiHeadAttention)


def test_a_residual_sum_has_a_mask():
    h = steps()
    assert keras_mask(keras.layers.Add()([h, attention()(h, h)])) is not None
    h = steps()
    assert keras_mask(keras.layers.Add()([h, keras.layers.MultiHeadAttention(2, 3)(h, h)])) is None


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_query_that_finds_nothing_gets_the_bias(dropout):
    layer = attention(dropout=dropout, bias_initializer="ones")
    out = layer(steps(), steps(np.zeros((2, 4), bool)), training=dropout > 0)
    np.testing.assert_allclose(out, np.where(MASK[..., None], np.ones((2, 4, 4)), 0), atol=1e-6)


def test_masks_may_be_passed_by_hand():
    layer, h = attention(), steps()
    expected = layer(h, h)
    bare = tf.where(MASK[..., None], h, 99.0)
    found = layer(bare, bare, bare, query_mask=MASK, value_mask=MASK, key_mask=MASK)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(keras_mask(found), MASK)
    only_key = layer(bare, bare, key=bare, key_mask=MASK)
    np.testing.assert_allclose(only_key[MASK], expected[MASK], atol=1e-6)
    assert keras_mask(only_key) is None


def test_keys_and_values_count_where_both_are_valid():
    later = np.array([[0, 1, 1, 1], [1, 1, 1, 1]], bool)
    layer, query = attention(), steps()
    found = layer(query, steps(), key=steps(later), return_attention_scores=True)[1]
    assert (found[0, 0, 0].numpy() > 0).tolist() == [False, True, True, False]


def test_half_precision():
    h = steps()
    layer = attention(dtype="mixed_float16")
    with tf.GradientTape() as tape:
        out = layer(h, h)
        value = tf.reduce_sum(tf.cast(out, tf.float32))
    assert out.dtype == tf.float16
    assert np.isfinite(out).all()
    assert all(np.isfinite(g).all() for g in tape.gradient(value, layer.trainable_variables))


def test_a_memory_without_a_mask_is_refused():
    h = tf.ones([2, 4, 4])
    words = "MaskedMultiHeadAttention: the value must carry a mask, got None. Put AttachMask"
    with pytest.raises(ValueError, match=words):
        attention()(steps(), h)
    with pytest.raises(ValueError, match=words):
        attention()(h, h, attention_mask=np.ones((2, 4, 4)))


def test_masks_of_another_shape_are_refused():
    wrong = AttachMask()([tf.ones([2, 4, 4]), tf.ones([2, 4, 4])])
    words = r"the mask of the {} must have the shape of its steps \(2, 4\), got \(2, 4, 4\)"
    with pytest.raises(ValueError, match=words.format("value")):
        attention()(steps(), wrong)
    with pytest.raises(ValueError, match=words.format("query")):
        attention()(wrong, steps())
    with pytest.raises(ValueError, match=words.format("key")):
        attention()(steps(), steps(), key=wrong)


def test_arguments_that_would_count_padding_are_refused():
    with pytest.raises(ValueError, match=r"attention_axes must be time, axis 1, got \[1, 2\]"):
        attention(attention_axes=[1, 2])
    with pytest.raises(ValueError, match="activity_regularizer must be None, got 'l2'"):
        attention(activity_regularizer="l2")
    assert attention(attention_axes=1).attention_axes == (1,)
