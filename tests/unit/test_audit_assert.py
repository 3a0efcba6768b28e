"""assert_padding_invariant: for models, layers and functions."""

import keras
import numpy as np
import pytest
from keras import ops

from maskdata import layers as masked
from maskdata.testing import assert_padding_invariant
from tests.invariance.small_models import batch, pooled, words

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:Layer .*does not support masking:UserWarning")
DATA = batch()
X = {"h": DATA["numbers"], "h_mask": DATA["mask"]}


def mean(x):
    weights = ops.cast(ops.convert_to_tensor(x["h_mask"]), "float32")[..., None]
    return ops.sum(x["h"] * weights, axis=1) / ops.sum(weights, axis=1)


def test_what_is_right_passes():
    assert_padding_invariant(*words(pooled))
    assert_padding_invariant(mean, X)
    assert_padding_invariant(lambda x: {"mean": mean(x), "twice": [2 * x["h"]]}, X)
    assert_padding_invariant(layers.SimpleRNN(3), DATA["numbers"], mask=DATA["mask"])
    assert_padding_invariant(masked.MaskedConv1D(3, 3), DATA["numbers"], mask=DATA["mask"])
    assert_padding_invariant(
        lambda x: x["h_mask"].numpy().sum(axis=1), X
    )  # NumPy may come out of it


def test_what_is_wrong_fails_and_is_named():
    words_of_error = (
        "must not change global_max, got 1 problem.\n.*global_max: reads padding.*Masked"
    )
    with pytest.raises(AssertionError, match=words_of_error):
        assert_padding_invariant(
            layers.GlobalMaxPooling1D(name="global_max"), DATA["numbers"], mask=DATA["mask"]
        )
    with pytest.raises(AssertionError, match=r"<lambda>, got 1.*\n.*1 max \(test_audit_assert.py:"):
        assert_padding_invariant(lambda x: ops.max(x["h"], axis=1), X)
    with pytest.raises(AssertionError, match="code of function: reads padding"):
        assert_padding_invariant(lambda x: np.asarray(x["h"]).max(axis=1), X)
    with pytest.raises(AssertionError, match=r"functional.*, got 1 problem"):
        assert_padding_invariant(*words(lambda h: layers.GlobalMaxPooling1D()(h)))


def test_a_function_of_one_tensor_with_its_mask_given():
    assert_padding_invariant(lambda x: ops.tanh(x), DATA["numbers"], mask=DATA["mask"])
    with pytest.raises(AssertionError, match="flip"):
        assert_padding_invariant(lambda x: ops.flip(x, axis=1), DATA["numbers"], mask=DATA["mask"])


def test_the_tolerance_counts():
    def nearly(x):
        return mean(x) + 1e-3 * ops.mean(ops.tanh(x["h"]), axis=1)

    assert_padding_invariant(nearly, X, tolerance=0.1)
    with pytest.raises(AssertionError, match="mean"):
        assert_padding_invariant(nearly, X)


@pytest.mark.parametrize(
    ("thing", "given", "error", "words_of_error"),
    [
        ("mean", {}, TypeError, "must be a model, a layer or a function of x, got 'mean'"),
        (layers.Dense(2), {"x": DATA["numbers"]}, ValueError, "one tensor, and its mask as mask="),
        (
            lambda x: x["h"],
            {"x": {"h": DATA["numbers"]}},
            ValueError,
            "must say which steps are padding",
        ),
    ],
)
def test_what_is_refused(thing, given, error, words_of_error):
    with pytest.raises(error, match=f"assert_padding_invariant: .*{words_of_error}"):
        assert_padding_invariant(thing, given.get("x"))
