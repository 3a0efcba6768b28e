"""Packed training is unpacked training: loss and gradients, for models of several kinds."""

import functools
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
INPUTS = {
    "tokens": "int32",
    "tokens_positions": "int32",
    "tokens_segment_ids": "int32",
    "segment_mask": "bool",
}
Features = dict[str, tf.Tensor]


# Each pipeline is built and read once: several models, and the tests of the audit, share it.


@functools.cache
def make_rows(*, next_step: bool) -> tf.data.Dataset:
    """Return rows, one of them of a single step, with what a model shall say of them."""
    random = np.random.default_rng(0)
    tokens = [random.integers(0, VOCABULARY, n, "int32") for n in (3, 4, 2, 5, 1, 6)]
    labels = [row.sum() % CLASSES for row in tokens]
    rows = md.from_rows({"tokens": tokens, "labels": labels})
    if next_step:
        return rows.apply(md.NextStep("tokens", into="targets"))
    return rows.map(lambda row: row | {"targets": (3 * row["tokens"] + 1) % VOCABULARY})


def rows_for(name: str) -> tf.data.Dataset:
    return make_rows(next_step=name == "causal language model")


@functools.cache
def packed(rows: tf.data.Dataset, length: int) -> Features:
    """Return the rows in three packed rows; the padding holds a legal id that is not 0."""
    lengths, pad_values = {"tokens": length, "targets": length}, {"tokens": 7}
    pack = md.Pack(lengths, batch_size=3, method="first_fit", pad_values=pad_values)
    return rows.apply(pack).get_single_element()


@functools.cache
def alone(rows: tf.data.Dataset) -> Features:
    """Return each row in a row of its own, without `Pack`."""
    batch = rows.apply(md.ToDense()).get_single_element()
    mask = tf.cast(batch["tokens_mask"], tf.int32)
    return batch | {
        "tokens_segment_ids": mask,
        "tokens_positions": tf.cumsum(mask, axis=1, exclusive=True),
        "labels": batch["labels"][:, None],
        "segment_mask": tf.ones_like(batch["labels"][:, None], tf.bool),
    }


def embedded(inputs: dict[str, Any]) -> Any:
    tokens = stock.Embedding(VOCABULARY, WIDTH)(inputs["tokens"])
    places = stock.Embedding(16, WIDTH)(inputs["tokens_positions"])
    return layers.AttachMask()([stock.Add()([tokens, places]), inputs["tokens_segment_ids"]])


def attend(inputs: dict[str, Any], attention: Any, *, causal: bool, with_mask: bool = True) -> Any:
    h = embedded(inputs)
    mask = (
        layers.SegmentAttentionMask(causal=causal)(inputs["tokens_segment_ids"])
        if with_mask
        else None
    )
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
        layers.SegmentPooling(kind)([h, inputs["tokens_segment_ids"], inputs["segment_mask"]])
        for kind in ("mean", "max", "first", "last")
    ]
    return stock.Dense(CLASSES)(stock.Concatenate()(pooled))


def recurrent(inputs: dict[str, Any]) -> Any:
    h = embedded(inputs)
    for go_backwards in (False, True):
        rnn = layers.SegmentRNN(stock.GRUCell(WIDTH), go_backwards=go_backwards)
        h = rnn([h, inputs["tokens_segment_ids"]])
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
    inputs = {name: keras.Input([None], dtype=dtype, name=name) for name, dtype in INPUTS.items()}
    return keras.Model(inputs, MODELS[name](inputs, **options))


def loss_and_gradients(model: keras.Model, features: Features) -> tuple[float, list[np.ndarray]]:
    is_pooled = model.output.shape[-1] == CLASSES
    targets, weights = ("labels", "segment_mask") if is_pooled else ("targets", "targets_mask")
    loss_of = md.losses.TokenMean(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with tf.GradientTape() as tape:
        outputs = model({name: features[name] for name in INPUTS})
        loss = loss_of(features[targets], outputs, sample_weight=features[weights])
    found = tape.gradient(loss, model.trainable_variables)
    return float(loss), [tf.convert_to_tensor(gradient).numpy() for gradient in found]


def check_packing_changes_nothing(model: keras.Model, name: str) -> None:
    rows = rows_for(name)
    loss, gradients = loss_and_gradients(model, alone(rows))
    for length in (9, 12):
        packed_loss, packed_gradients = loss_and_gradients(model, packed(rows, length))
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
    features = packed(rows_for(name), 9)
    inputs = {name: features[name] for name in INPUTS}
    np.testing.assert_array_equal(model(inputs), reloaded(inputs))
