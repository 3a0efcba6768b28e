"""ToKeras: what Keras gets, and what it is spared."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import maskdata as md

ROWS = md.from_rows(
    {
        "tokens": [[5, 6, 7], [8]],
        "tags": [[1, 2, 3], [1]],
        "costs": [[1.0, 2.0, 3.0], [4.0]],
        "vectors": [np.ones([3, 2], np.float32), np.ones([1, 2], np.float32)],
        "label": [0, 1],
        "row_costs": [0.5, 2.0],
        "one_hot": np.eye(2, dtype=np.float32),
        "text": ["a", "b"],
        "chars": [[[1, 2], [3], [4]], [[5]]],
    }
)
DENSE = ROWS.apply(md.ToDense(pad_values={"costs": 9.0}))


def batch(**arguments: Any) -> Any:
    return DENSE.apply(md.ToKeras(**arguments)).get_single_element()


def test_only_declared_features_come_out() -> None:
    x, y, sample_weight = batch(x=["tokens", "tokens_mask"], y="tags", sample_weight="tags_mask")
    assert sorted(x) == ["tokens", "tokens_mask"]
    assert x["tokens"].numpy().tolist() == [[5, 6, 7], [8, 0, 0]]
    assert y.numpy().tolist() == [[1, 2, 3], [1, 0, 0]]
    assert sample_weight.numpy().tolist() == [[1, 1, 1], [1, 0, 0]]
    assert (x["tokens_mask"].dtype, sample_weight.dtype) == (tf.int8, tf.float32)


def test_the_three_forms() -> None:
    assert len(batch(x="tokens")) == 1
    x, y = batch(x="tokens", y="label")
    assert (x.shape, y.shape) == ((2, 3), (2,))
    x, y = batch(x={"ids": "tokens"}, y={"a": "label", "b": "tags"})
    assert (sorted(x), sorted(y)) == (["ids"], ["a", "b"])


def test_no_bool_reaches_keras() -> None:
    spec = DENSE.apply(
        md.ToKeras(x={"m": "tokens_mask"}, y={"n": "tags_mask"}, sample_weight={"n": "tags_mask"})
    ).element_spec
    assert {s.dtype for s in tf.nest.flatten(spec)} == {tf.int8, tf.float32}


def test_weights_are_zero_in_padding_whatever_they_hold_there() -> None:
    *_, sample_weight = batch(x="tokens", y="tags", sample_weight="costs")
    assert sample_weight.numpy().tolist() == [[1, 2, 3], [4, 0, 0]]


def test_weights_of_several_targets() -> None:
    *_, weights = batch(
        x="tokens",
        y=["tags", "label", "vectors"],
        sample_weight={"tags": "costs", "label": "row_costs", "vectors": None},
    )
    assert weights["tags"].numpy().tolist() == [[1, 2, 3], [4, 0, 0]]
    assert weights["label"].numpy().tolist() == [0.5, 2.0]
    assert weights["vectors"] is None


LEGAL = [
    ("label", "row_costs"),
    ("one_hot", "row_costs"),
    ("vectors", "vectors_mask"),
    ("vectors", "costs"),
    ("tags", "tokens_mask"),
    ("chars", "chars_mask_2"),
]
ILLEGAL = [
    ("tags", "row_costs"),
    ("tags", "label"),
    ("vectors", "row_costs"),
    ("vectors", "vectors"),
    ("label", "tags_mask"),
    ("chars", "chars_mask"),
    ("chars", "row_costs"),
]


@pytest.mark.parametrize(("y", "weight"), LEGAL)
def test_weights_of_the_shape_of_the_loss(y: str, weight: str) -> None:
    *_, weights = batch(x="tokens", y=y, sample_weight=weight)
    assert weights.dtype == tf.float32


@pytest.mark.parametrize(("y", "weight"), ILLEGAL)
def test_weights_of_another_shape_are_refused(y: str, weight: str) -> None:
    with pytest.raises(
        ValueError, match=f"sample_weight '{weight}' must have the shape of the loss of y '{y}'"
    ):
        batch(x="tokens", y=y, sample_weight=weight)


def test_targets_without_a_mask_are_told_by_their_shape() -> None:
    unknown_length = DENSE.map(lambda b: {"y": b["tags"], "w": b["row_costs"], "m": b["tags_mask"]})
    with pytest.raises(
        ValueError, match="sample_weight 'w' must have the shape of the loss of y 'y'"
    ):
        unknown_length.apply(md.ToKeras(x="y", y="y", sample_weight="w"))
    assert (
        len(unknown_length.apply(md.ToKeras(x="y", y="y", sample_weight="m")).get_single_element())
        == 3
    )


def test_fit_evaluate_and_predict() -> None:
    to_keras = md.ToKeras(x=["tokens", "tokens_mask"], y="tags", sample_weight="tags_mask")
    bucket = md.BucketBySequenceLength("tokens", [2], [1, 1])
    prepare = md.Chain(bucket, md.CountBatches(), md.ToDense(), to_keras)
    tokens = keras.Input([None], dtype="int32", name="tokens")
    mask = keras.Input([None], dtype="int8", name="tokens_mask")
    h = md.layers.AttachMask()([keras.layers.Embedding(10, 4)(tokens), mask])
    h = keras.layers.LSTM(4, return_sequences=True)(h)
    model = keras.Model({"tokens": tokens, "tokens_mask": mask}, keras.layers.Dense(4)(h))
    loss = md.losses.TokenMean(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.compile("sgd", loss)
    batches = prepare(ROWS)
    history = model.fit(batches, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert int(model.optimizer.iterations) == 4
    assert np.isfinite(model.evaluate(batches, verbose=0))
    one = ROWS.apply(md.Chain(md.ToDense(), md.ToKeras(x=["tokens", "tokens_mask"])))
    assert model.predict(one, verbose=0).shape == (2, 3, 4)
