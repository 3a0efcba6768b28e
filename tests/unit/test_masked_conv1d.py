"""MaskedConv1D: windows and their masks, counted by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask, MaskedConv1D

SUM = {"kernel_initializer": "ones"}


def steps(*rows):
    """Return rows of one feature; None is padding, and holds garbage."""
    values = [[99.0 if x is None else x for x in row] for row in rows]
    mask = [[x is not None for x in row] for row in rows]
    return AttachMask()([tf.constant(values)[..., None], tf.constant(mask)])


def listed(h):
    """Return the output with None for masked steps."""
    values, mask = h[..., 0].numpy().tolist(), keras_mask(h).numpy()
    return [
        [x if valid else None for x, valid in zip(*row, strict=True)]
        for row in zip(values, mask, strict=True)
    ]


ROWS = [1.0, 2.0, 4.0, None, None], [None, 1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"padding": "same"}, ([3, 7, 6, None, None], [None, 3, 7, 14, 12])),
        ({"padding": "causal"}, ([1, 3, 7, None, None], [None, 1, 3, 7, 14])),
        ({"padding": "valid"}, ([7, None, None], [None, 7, 14])),
        # Alone, 3 steps have windows around steps 0 and 2, but 4 steps around 1 and 3.
        ({"padding": "same", "strides": 2}, ([3, 6, None], [None, 7, 12])),
        ({"padding": "causal", "strides": 2}, ([1, 7, None], [None, 1, 7])),
        ({"padding": "valid", "strides": 2}, ([7, None], [None, 7])),
        ({"padding": "same", "dilation_rate": 2}, ([5, 2, 5, None, None], [None, 5, 10, 5, 10])),
        ({"padding": "valid", "dilation_rate": 2}, ([None], [None])),
    ],
)
def test_each_row_stands_alone(arguments, expected):
    assert listed(MaskedConv1D(1, 3, **SUM, **arguments)(steps(*ROWS))) == list(expected)


def test_masked_steps_are_0_and_not_regularized():
    layer = MaskedConv1D(
        1, 3, padding="same", bias_initializer="ones", activity_regularizer="l1", **SUM
    )
    assert layer(steps([1.0, None]))[..., 0].numpy().tolist() == [[2, 0]]
    assert float(layer.losses[0]) == pytest.approx(0.01 * 2)


def test_a_masked_step_between_valid_ones_reads_as_zeros():
    h = steps([1.0, None, 4.0, 8.0])
    assert listed(MaskedConv1D(1, 3, padding="same", **SUM)(h)) == [[1, None, 12, 12]]
    assert listed(MaskedConv1D(1, 3, padding="causal", strides=3, **SUM)(h)) == [[1, 12]]


@pytest.mark.parametrize("strides", [1, 2])
def test_if_all_rows_are_too_short_the_output_has_one_masked_step(strides):
    # Keras refuses such a batch.
    out = MaskedConv1D(1, 3, strides=strides, **SUM)(steps([1.0, 2.0], [None, None]))
    assert listed(out) == [[None], [None]]
    assert out.numpy().tolist() == [[[0.0]], [[0.0]]]
    with pytest.raises(ValueError, match="output size would be zero"):
        keras.layers.Conv1D(1, 3, strides=strides)(tf.ones([2, 2, 1]))


def test_groups_of_features():
    h = AttachMask()([tf.ones([1, 3, 4]), tf.constant([[1, 1, 0]])])
    out = MaskedConv1D(2, 2, padding="causal", groups=2, **SUM)(h)
    assert out.numpy().tolist() == [[[2, 2], [4, 4], [0, 0]]]


@pytest.mark.parametrize("length", [5, None])
@pytest.mark.parametrize("padding", ["same", "causal", "valid"])
@pytest.mark.parametrize("strides", [1, 3])
def test_shapes_are_known_beforehand(length, padding, strides):
    h, mask = keras.Input((length, 4)), keras.Input((length,), dtype="bool")
    arguments = {"strides": strides, "padding": padding}
    out = MaskedConv1D(2, 3, **arguments)(AttachMask()([h, mask]))
    assert out.shape == keras.layers.Conv1D(2, 3, **arguments)(h).shape
    assert keras_mask(out).shape == out.shape[:2]
    model = keras.Model([h, mask], [out, keras_mask(out)])
    values, valid = model([np.ones((2, 5, 4)), np.ones((2, 5), bool)])
    assert values.shape[:2] == valid.shape == (2, {1: 5, 3: 2}[strides]) or padding == "valid"


def test_a_mask_may_be_passed_by_hand():
    layer = MaskedConv1D(1, 3, padding="same", **SUM)
    out = layer(tf.constant([[[1.0], [99.0]]]), mask=np.array([[1, 0]]))
    assert out[..., 0].numpy().tolist() == [[1, 0]]
    assert keras_mask(out).numpy().tolist() == [[1, 0]]


def test_another_data_format_is_refused():
    words = "MaskedConv1D: data_format must be 'channels_last', got 'channels_first'. Put"
    with pytest.raises(ValueError, match=words):
        MaskedConv1D(1, 3, data_format="channels_first")
