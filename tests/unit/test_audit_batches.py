"""audit: which steps are padding, and what is padded."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata import layers as masked
from maskdata.audit import audit
from maskdata.audit._batch import parse
from maskdata.audit._batch_masks import with_masks
from maskdata.audit._variants import garbage, longer, row, unpadded
from maskdata.compile_args import compile_args
from tests.invariance.small_models import WORDS, batch, pooled, words

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:Layer .*does not support masking:UserWarning")
DATA = batch()
X = {"ids": DATA["ids"], "ids_mask": DATA["mask"]}


def rnn():
    return keras.Sequential([layers.SimpleRNN(2)])


def known(x, mask=None, model=None):
    return with_masks("audit", parse("audit", model, x), mask)


@pytest.mark.parametrize(
    "given",
    [
        X,
        (X,),
        (X, DATA["tags"]),
        (X, DATA["tags"], DATA["weights"]),
        {name: tf.constant(array) for name, array in X.items()},
    ],
)
def test_every_form_of_a_batch(given):
    assert audit(words(pooled)[0], given).ok


def test_masks_of_lists_are_known_by_the_names_of_the_models_inputs():
    x = keras.Input([None, 4], name="x")
    mask = keras.Input([None], name="x_mask")
    model = keras.Model([mask, x], pooled(masked.AttachMask()([x, mask])))
    assert audit(model, [DATA["mask"], DATA["numbers"]]).ok


def test_masks_that_are_given():
    numbers, mask = DATA["numbers"], DATA["mask"]
    x = {"one": numbers, "two": numbers, "filled": mask}
    for given in (mask, "filled", {"one": mask}, {"one": "filled"}):
        found = {f.name: f for f in known(x, given).given}
        np.testing.assert_array_equal(found["one"].steps, mask == 1)
        np.testing.assert_array_equal(found["two"].steps, mask == 1)
        by_name = isinstance(given, str) or (isinstance(given, dict) and given["one"] is not mask)
        assert found["filled"].is_mask == by_name
        assert found["two"].is_like == ("one" if isinstance(given, dict) else None)
    found = {f.name: f for f in known(x, {"one": mask, "two": None}).given}
    assert found["two"].steps is None


def test_a_mask_that_a_tensor_carries():
    h = masked.AttachMask()([tf.constant(DATA["numbers"]), DATA["mask"]])
    report = audit(rnn(), h)
    assert report.ok
    assert [call.mask_in for call in report.calls] == [True]


def test_a_mask_that_the_model_makes_of_a_tensor_under_any_name():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.attach, self.rnn = masked.AttachMask(), layers.SimpleRNN(2)

        def call(self, inputs):
            return self.rnn(self.attach([inputs["numbers"], inputs["is_word"]]))

    report = audit(Model(), {"numbers": DATA["numbers"], "is_word": DATA["mask"]})
    assert report.ok
    assert report.notes == []
    assert len(report.tried) == 4


def test_what_is_padded_and_how():
    x = {
        **X,
        "more": DATA["numbers"],
        "row": np.ones([5, 3], "float32"),
        "chars": np.arange(90).reshape(5, 6, 3),
        "chars_mask": DATA["mask"],
        "chars_mask_2": np.repeat(DATA["mask"][..., None], 3, axis=2),
    }
    x["ids"] = np.where(DATA["mask"], DATA["ids"], 8)
    before = known(x)
    after = {f.name: f.array for f in longer(before, 3).given}
    shapes = {name: array.shape for name, array in after.items()}
    assert shapes == {
        "ids": (5, 9),
        "ids_mask": (5, 9),
        "more": (5, 9, 4),
        "row": (5, 3),
        "chars": (5, 9, 3),
        "chars_mask": (5, 9),
        "chars_mask_2": (5, 9, 3),
    }
    assert (after["ids"][:, 6:] == 8).all()  # what stands in its padding
    assert not after["ids_mask"][:, 6:].any()
    for name in x:
        np.testing.assert_array_equal(after[name][:, :6], x[name])

    other = {f.name: f.array for f in garbage(before, {"ids", "more", "chars"}).given}
    valid = DATA["mask"] == 1
    for name in ("ids", "more", "chars"):
        np.testing.assert_array_equal(other[name][valid], x[name][valid])
        assert (other[name][~valid] != x[name][~valid]).any()
    assert set(other["ids"][~valid]) <= set(x["ids"][valid])  # legal ids
    assert np.isfinite(other["more"]).all()


@pytest.mark.parametrize("left", [False, True])
def test_rows_alone(left):
    data = batch(left=left)
    x = {"ids": data["ids"], "ids_mask": data["mask"], "more": data["numbers"]}
    alone = {f.name: f.array for f in unpadded(row(known(x), 2)).given}
    valid = data["mask"][2] == 1
    np.testing.assert_array_equal(alone["ids"][0], data["ids"][2][valid])
    np.testing.assert_array_equal(alone["more"][0], data["numbers"][2][valid])
    assert alone["ids_mask"].all()
    after = {f.name: f.array for f in longer(known(x), 2).given}
    kept = after["ids"][:, 2:] if left else after["ids"][:, :-2]
    np.testing.assert_array_equal(kept, data["ids"])


def test_features_that_are_not_padded_are_listed():
    ids, mask = keras.Input([None], dtype="int32", name="ids"), keras.Input([None], name="ids_mask")
    row_feature, other = keras.Input([6], name="row"), keras.Input([None], name="other")
    h = masked.AttachMask()([layers.Embedding(WORDS, 3)(ids), mask])
    h = layers.GlobalAveragePooling1D()(h)
    total = keras.ops.sum(keras.ops.where(mask == 1, other, 0.0), axis=1, keepdims=True)
    outputs = layers.Dense(2)(layers.Concatenate()([h, row_feature, total]))
    model = keras.Model([ids, mask, row_feature, other], outputs)
    values = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    report = audit(model, [DATA["ids"], DATA["mask"], values, values])
    assert report.ok
    assert report.notes == [
        "Taken for features without steps, and not padded: row [5, 6].",
        "other has no mask; it is as long as ids, and was padded like it. If its axis 1 is not time, "
        "pass mask={'other': None}.",
    ]


def test_strings():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.lookup = layers.StringLookup(vocabulary=["a", "b", "c"])
            self.embedding, self.attach = layers.Embedding(9, 4), masked.AttachMask()
            self.rnn = layers.SimpleRNN(2)

        def call(self, x):
            return self.rnn(self.attach([self.embedding(self.lookup(x["w"])), x["w_mask"]]))

    tokens = np.array([["a", "b", "c"], ["b", "", ""]])
    x = {"w": tf.constant(tokens), "w_mask": (tokens != "").astype("int8")}
    assert audit(Model(), x).ok


def test_several_outputs_with_a_dict_of_labels():
    def body(h):
        first = layers.SimpleRNN(3, return_sequences=True)(h)
        return {"tags": layers.Dense(3)(first), "class": layers.Dense(2)(layers.SimpleRNN(2)(h))}

    model, x = words(body)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", **compile_args({"tags": loss, "class": loss}, {"tags": ["accuracy"]}))
    y = {"tags": DATA["tags"], "class": DATA["classes"] % 2}
    report = audit(model, (x, y, {"tags": DATA["weights"], "class": np.ones(5, "float32")}))
    assert report.ok
    names = {quantity.name for quantity in report.whole}
    assert {"tags_accuracy", "tags_token_loss", "class_token_loss"} <= names
