"""audit: every refusal with its words."""

import keras
import pytest
import tensorflow as tf

from maskdata.audit import audit
from tests.invariance.small_models import batch

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:Layer .*does not support masking:UserWarning")
DATA = batch()
X = {"ids": DATA["ids"], "ids_mask": DATA["mask"]}


def rnn():
    return keras.Sequential([layers.SimpleRNN(2)])


@pytest.mark.parametrize(
    ("x", "mask", "error", "words"),
    [
        (
            DATA["numbers"],
            None,
            ValueError,
            r"must say which steps are padding, got x with \['x'\]",
        ),
        (X, {"idz": DATA["mask"]}, ValueError, "no feature 'idz'.* Did you mean 'ids'"),
        (X, "ids_masks", ValueError, "Did you mean 'ids_mask'"),
        (DATA["numbers"], DATA["mask"][:, :4], ValueError, r"leading axes.*got \(5, 4\)"),
        (DATA["numbers"], DATA["mask"][0], ValueError, r"leading axes.*got \(6,\)"),
        (
            {"x": DATA["numbers"], "x_mask": DATA["mask"][:3]},
            None,
            ValueError,
            "same number of rows",
        ),
        (
            {"x": DATA["numbers"], "x_mask": DATA["mask"][:, :3]},
            None,
            ValueError,
            r"the mask of 'x' must have the shape of its steps \(5, 6\), got \(5, 3\)",
        ),
        (DATA["numbers"], DATA["mask"] * 3, ValueError, r"must hold 0 and 1, got \[0.0, 3.0\]"),
        (DATA["numbers"], DATA["mask"].astype(str), TypeError, "bool or numbers, got '<U4'"),
        ((X, 1, 2, 3), None, ValueError, r"\(x, y, sample_weight\), got a tuple of 4"),
        (tf.data.Dataset.from_tensors(X), None, TypeError, "batch must be one batch"),
        (
            {"ids": tf.ragged.constant([[1, 2], [3]]), "ids_mask": DATA["mask"]},
            None,
            TypeError,
            "must be a dense tensor, got 'RaggedTensor'. Apply ToDense",
        ),
        (3.0, None, ValueError, "'x' must have rows, got 3.0"),
        ({}, None, ValueError, "x must hold a tensor"),
        (DATA["ids"], DATA["mask"], ValueError, "must run on the batch, got ValueError: Input 0"),
    ],
)
def test_bad_batches_are_refused(x, mask, error, words):
    with pytest.raises(error, match="audit: .*" + words):
        audit(rnn(), x, mask=mask)


def test_a_call_that_fails_is_named():
    class Fails(layers.Layer):
        def call(self, h):
            raise KeyError("no such thing")

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.fails = Fails(name="failing")

        def call(self, inputs):
            return self.fails(inputs)

    with pytest.raises(ValueError, match=r"got KeyError: .*no such thing.* in 'failing'\. Give"):
        audit(Model(), DATA["numbers"], mask=DATA["mask"])


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"must be a keras.Model, got .* maskdata.testing"):
        audit(layers.Dense(2), DATA["numbers"])


def test_what_is_no_strategy_is_refused():
    with pytest.raises(TypeError, match=r"tf.distribute.Strategy, .* got 'GPU:0'"):
        audit(rnn(), DATA["numbers"], mask=DATA["mask"], strategy="GPU:0")
