"""Packed training is unpacked training: loss and gradients, for models of several kinds."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as stock

import maskdata as md
from maskdata import layers

VOCABULARY, WIDTH, CLASSES = 11, 8, 3
Batch = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]
"""Inputs, labels and weights."""


def rows_to_pack() -> list[list[np.ndarray]]:
    """Return packed rows, each a list of rows: a full one, a single one, one of one step."""
    random = np.random.default_rng(0)
    return [
        [random.integers(0, VOCABULARY, n) for n in of_row] for of_row in ([3, 4, 2], [5], [1, 6])
    ]


def lay_out(packed_rows: list[list[np.ndarray]], length: int) -> dict[str, np.ndarray]:
    """Return the packed rows as dense features; the padding holds a legal id that is not 0."""
    shape = (len(packed_rows), length)
    features = {name: np.zeros(shape, "int32") for name in ("segment_ids", "positions", "targets")}
    features["tokens"] = np.full(shape, 7, "int32")
    features["segment_mask"] = np.zeros((len(packed_rows), max(map(len, packed_rows))), bool)
    features["labels"] = np.zeros(features["segment_mask"].shape, "int32")
    for number, rows in enumerate(packed_rows):
        start = 0
        for segment, row in enumerate(rows):
            slots = slice(start, start := start + len(row))
            features["tokens"][number, slots] = row
            features["targets"][number, slots] = np.roll(row, -1)
            features["segment_ids"][number, slots] = segment + 1
            features["positions"][number, slots] = np.arange(len(row))
            features["segment_mask"][number, segment] = True
            features["labels"][number, segment] = row.sum() % CLASSES
    return features


def last_step_of_segment(features: dict[str, np.ndarray]) -> np.ndarray:
    ids = features["segment_ids"]
    return ids != np.roll(np.pad(ids, [[0, 0], [0, 1]]), -1, axis=1)[:, :-1]


def embedded(inputs: dict[str, Any]) -> Any:
    tokens = stock.Embedding(VOCABULARY, WIDTH)(inputs["tokens"])
    places = stock.Embedding(16, WIDTH)(inputs["positions"])
    return layers.AttachMask()([stock.Add()([tokens, places]), inputs["segment_ids"]])


def attend(inputs: dict[str, Any], attention: Any, *, causal: bool, with_mask: bool = True) -> Any:
    h = embedded(inputs)
    mask = layers.SegmentAttentionMask(causal=causal)(inputs["segment_ids"]) if with_mask else None
    found = attention(2, 4)(h, h, attention_mask=mask)
    return layers.KeepMask(stock.LayerNormalization())(stock.Add()([h, found]))


def encoder(inputs: dict[str, Any], **options: Any) -> Any:
    h = attend(inputs, stock.MultiHeadAttention, causal=False, **options)
    return stock.Dense(VOCABULARY)(h)


def masked_encoder(inputs: dict[str, Any], **options: Any) -> Any:
    h = attend(inputs, layers.MaskedMultiHeadAttention, causal=False, **options)
    return stock.Dense(VOCABULARY)(h)


def language_model(inputs: dict[str, Any], **options: Any) -> Any:
    h = attend(inputs, layers.MaskedMultiHeadAttention, causal=True, **options)
    return stock.Dense(VOCABULARY)(h)


def classifier(inputs: dict[str, Any], **options: Any) -> Any:
    h = attend(inputs, stock.MultiHeadAttention, causal=False, **options)
    pooled = [
        layers.SegmentPooling(kind)([h, inputs["segment_ids"], inputs["segment_mask"]])
        for kind in ("mean", "max", "first", "last")
    ]
    return stock.Dense(CLASSES)(stock.Concatenate()(pooled))


def recurrent(inputs: dict[str, Any]) -> Any:
    h = embedded(inputs)
    for go_backwards in (False, True):
        rnn = layers.SegmentRNN(stock.GRUCell(WIDTH), go_backwards=go_backwards)
        h = rnn([h, inputs["segment_ids"]])
    return stock.Dense(VOCABULARY)(h)


MODELS: dict[str, Callable[..., Any]] = {
    "encoder": encoder,
    "encoder with masked attention": masked_encoder,
    "causal language model": language_model,
    "pooled classifier": classifier,
    "recurrent": recurrent,
}


def build(name: str, **options: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = {
        feature: keras.Input(
            [None], dtype="bool" if feature == "segment_mask" else "int32", name=feature
        )
        for feature in ("tokens", "positions", "segment_ids", "segment_mask")
    }
    return keras.Model(inputs, MODELS[name](inputs, **options))


def batch_for(name: str, packed_rows: list[list[np.ndarray]], length: int) -> Batch:
    features = lay_out(packed_rows, length)
    weights = (features["segment_ids"] > 0).astype("float32")
    if name == "pooled classifier":
        return features, features["labels"], features["segment_mask"].astype("float32")
    if name == "causal language model":
        weights *= ~last_step_of_segment(features)  # the next row is not for this one to guess
    return features, features["targets"], weights


def loss_and_gradients(model: keras.Model, batch: Batch) -> tuple[float, list[np.ndarray]]:
    features, labels, weights = batch
    loss_of = md.losses.TokenMean(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs = {key: tf.constant(features[key]) for key in model.input}
    with tf.GradientTape() as tape:
        loss = loss_of(labels, model(inputs), sample_weight=weights)
    found = tape.gradient(loss, model.trainable_variables)
    return float(loss), [tf.convert_to_tensor(gradient).numpy() for gradient in found]


def check_packing_changes_nothing(model: keras.Model, name: str) -> None:
    packed = rows_to_pack()
    alone = [[row] for rows in packed for row in rows]
    loss, gradients = loss_and_gradients(model, batch_for(name, alone, 6))
    for length in (9, 12):
        packed_loss, packed_gradients = loss_and_gradients(model, batch_for(name, packed, length))
        assert packed_loss == pytest.approx(loss, rel=1e-5)
        for mine, expected in zip(packed_gradients, gradients, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_packing_changes_neither_loss_nor_gradients(name: str) -> None:
    check_packing_changes_nothing(build(name), name)


@pytest.mark.parametrize("name", ["encoder", "causal language model", "pooled classifier"])
def test_a_forgotten_block_mask_is_caught(name: str) -> None:
    with pytest.raises(AssertionError):
        check_packing_changes_nothing(build(name, with_mask=False), name)


def test_a_stock_recurrent_layer_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def carrying(inputs: dict[str, Any]) -> Any:
        h = stock.GRU(WIDTH, return_sequences=True)(embedded(inputs))
        return stock.Dense(VOCABULARY)(h)

    monkeypatch.setitem(MODELS, "recurrent", carrying)
    with pytest.raises(AssertionError):
        check_packing_changes_nothing(build("recurrent"), "recurrent")


@pytest.mark.parametrize("name", MODELS)
def test_models_for_packed_rows_are_saved_and_reloaded(name: str, tmp_path: Any) -> None:
    model = build(name)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    features = lay_out(rows_to_pack(), 9)
    inputs = {key: tf.constant(features[key]) for key in model.input}
    np.testing.assert_array_equal(model(inputs), reloaded(inputs))
