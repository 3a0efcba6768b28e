"""Models for packed rows: with one known fault each, and with none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

import maskdata as md
from maskdata import layers as masked
from tests.invariance.packed_pairs import translator
from tests.invariance.test_packed_models import (
    CLASSES,
    INPUTS,
    MODELS,
    VOCABULARY,
    WIDTH,
    build,
    embedded,
    packed,
    rows_for,
)

layers = keras.layers
Inputs = dict[str, Any]
Made = tuple[keras.Model, Any]


@dataclass(frozen=True)
class Planted:
    """A model, a packed batch, and what the audit must say.

    Attributes:
        make: Returns the model and the batch.
        at: The name of the call at fault.
        advice: A word of the advice.
        verdict: What the call does.
    """

    make: Callable[[], Made]
    at: str = ""
    advice: str = ""
    verdict: str = ""


FAULTS: dict[str, Planted] = {}
CLEAN: dict[str, Planted] = {
    name: Planted(lambda name=name: (build(name), batch()))
    for name in MODELS
    if name != "encoder"  # whose attention is in others too
}


def fault(at: str, advice: str, verdict: str = "mixes segments") -> Callable[[Any], Any]:
    def add(make: Any) -> Any:
        FAULTS[make.__name__] = Planted(make, at, advice, verdict)
        return make

    return add


def clean(make: Any) -> Any:
    CLEAN[make.__name__] = Planted(make)
    return make


def batch() -> dict[str, np.ndarray]:
    """Return three packed rows, of three segments, two and one, with padding in two of them."""
    features = packed(rows_for("encoder"), length=9)
    return {name: features[name].numpy().copy() for name in INPUTS}


def model_of(body: Callable[[Any, Inputs], Any], steps: int | None = None) -> keras.Model:
    """Return a model that begins with embedded tokens."""
    lengths = dict.fromkeys(INPUTS, steps) | {"segment_mask": None}
    inputs = {name: keras.Input([lengths[name]], dtype=INPUTS[name], name=name) for name in INPUTS}
    return keras.Model(inputs, body(embedded(inputs), inputs))


def tagger(h: Any) -> Any:
    return layers.Dense(CLASSES)(h)


def unmasked_attention(h: Any, inputs: Inputs) -> Any:
    """Hide the padding, but not the other segments."""
    data = (inputs["tokens_segment_ids"] != 0)[:, None, :]
    return layers.MultiHeadAttention(2, 4)(h, h, attention_mask=data)


# Attention.


@fault("multi_head_attention", "SegmentAttentionMask")
def forgotten_block_mask() -> Made:
    return build("encoder", with_mask=False), batch()


@fault("masked_multi_head_attention", "SegmentAttentionMask")
def causal_mask_only() -> Made:
    attention = masked.MaskedMultiHeadAttention(2, 4)
    return model_of(lambda h, _: tagger(h + attention(h, h, use_causal_mask=True))), batch()


class Attention(layers.Layer):
    def call(self, h: Any, mask: Any = None) -> Any:
        scores = ops.matmul(h, ops.transpose(h, [0, 2, 1]))
        scores = ops.where(mask[:, None, :], scores, -1e9)
        return ops.matmul(ops.softmax(scores), h)


@fault("softmax", "SegmentAttentionMask")
def attention_of_ones_own() -> Made:
    return model_of(lambda h, _: tagger(Attention()(h))), batch()


@fault("multi_head_attention", "SegmentAttentionMask")
def attention_before_steps_of_all_rows_on_one_axis() -> Made:
    def body(h: Any, inputs: Inputs) -> Any:
        h = ops.reshape(unmasked_attention(h, inputs), (-1, WIDTH))
        return ops.reshape(tagger(h), (-1, 9, CLASSES))

    return model_of(body), batch()


@fault("cross", "those of the queries and those of the memory")
def cross_attention_to_the_next_segment() -> Made:
    return translator(lambda target, source: masked.SegmentAttentionMask()([target + 1, source]))


@fault("cross", "SegmentAttentionMask")
def cross_attention_with_the_mask_of_the_target() -> Made:
    return translator(lambda target, _: masked.SegmentAttentionMask()(target))


@clean
def cross_attention() -> Made:
    return translator(lambda target, source: masked.SegmentAttentionMask()([target, source]))


# Layers over time.


@fault("lstm", "SegmentRNN")
def stock_recurrent_layer() -> Made:
    return model_of(lambda h, _: tagger(layers.LSTM(4, return_sequences=True)(h))), batch()


@fault("masked_max_pooling1d", "BucketBySequenceLength")
def pooling_that_makes_rows_shorter() -> Made:
    return model_of(lambda h, _: tagger(masked.MaskedMaxPooling1D(2)(h))), batch()


@clean
def step_before_that_stops_at_the_border() -> Made:
    """The shift mixes segments, but what it mixes is thrown away."""

    def body(h: Any, inputs: Inputs) -> Any:
        before = ops.roll(h, 1, axis=1)
        is_first = ops.equal(inputs["tokens_positions"], 0)[..., None]
        return tagger(layers.Add()([h, ops.where(is_first, 0.0, before)]))

    return model_of(body), batch()


# Pooling.


@fault("masked_global_average_pooling1d", "SegmentPooling")
def mean_of_the_packed_row() -> Made:
    pool = masked.MaskedGlobalAveragePooling1D()
    return model_of(lambda h, _: tagger(layers.Add()([pool(h), h[:, 0]]))), batch()


@fault("max", "SegmentPooling")
def maximum_of_the_packed_row() -> Made:
    def body(h: Any, inputs: Inputs) -> Any:
        data = (inputs["tokens_segment_ids"] != 0)[..., None]
        return tagger(ops.max(ops.where(data, h, -9.0), axis=1))

    return model_of(body), batch()


@fault("dense", "SegmentPooling")
def all_steps_in_one_vector() -> Made:
    def body(h: Any, inputs: Inputs) -> Any:
        data = ops.cast(inputs["tokens_segment_ids"] != 0, "float32")
        return tagger(layers.Flatten()(h * data[..., None]))

    return model_of(body, steps=9), batch()


@clean
def values_and_labels_of_each_segment() -> Made:
    tokens = [[1, 2, 3], [4, 5, 6, 7], [8, 9], [1, 3, 5, 7, 9], [2], [3, 1, 4, 1, 5, 9]]
    numbers = np.arange(len(tokens), dtype="int32")
    rows = md.from_rows({"tokens": tokens, "speaker": numbers % 5, "label": numbers % CLASSES})
    names = ["tokens", "tokens_segment_ids", "segment_mask", "speaker"]
    chain = md.Chain(
        md.Pack({"tokens": 9}, batch_size=3, method="first_fit"),
        md.CountBatches(),
        md.ToKeras(x=names, y="label"),
    )
    inputs = {name: keras.Input([None], dtype="int32", name=name) for name in names}
    h = layers.Embedding(VOCABULARY, WIDTH)(inputs["tokens"])
    h = masked.SegmentPooling()([h, inputs["tokens_segment_ids"], inputs["segment_mask"]])
    h = layers.Add()([h, layers.Embedding(5, WIDTH)(inputs["speaker"])])
    model = keras.Model(inputs, tagger(h))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", **md.compile_args(loss=loss, metrics=["accuracy"]))
    return model, chain(rows).get_single_element()


# Positions.


@fault("add", "_positions", "depends on its place")
def number_of_the_segment_as_a_feature() -> Made:
    def body(h: Any, inputs: Inputs) -> Any:
        number = layers.Embedding(9, WIDTH)(inputs["tokens_segment_ids"])
        return tagger(layers.Add()([h, number]))

    return model_of(body), batch()


@clean
def fixed_number_of_steps() -> Made:
    def body(h: Any, inputs: Inputs) -> Any:
        allowed = masked.SegmentAttentionMask()(inputs["tokens_segment_ids"])
        return tagger(layers.MultiHeadAttention(2, 4)(h, h, attention_mask=allowed))

    return model_of(body, steps=9), batch()
