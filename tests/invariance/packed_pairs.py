"""Pairs of rows, packed to the same length, and an encoder and decoder that reads them."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import maskdata as md
from tests.invariance.test_packed_models import CLASSES, VOCABULARY, WIDTH

layers = keras.layers


@functools.cache
def packed_pairs() -> dict[str, tf.Tensor]:
    random = np.random.default_rng(0)
    row_lengths = {"source": (2, 3, 4, 1, 5), "target": (3, 1, 2, 4, 4)}
    rows = md.from_rows(
        {
            name: [random.integers(0, VOCABULARY, n, "int32") for n in of_feature]
            for name, of_feature in row_lengths.items()
        }
    )
    pack = md.Pack({"source": 10, "target": 10}, batch_size=2, method="first_fit")
    return rows.apply(pack).get_single_element()


def translator(allowed: Callable[[Any, Any], Any]) -> tuple[keras.Model, Any]:
    """Return an encoder and a decoder with cross-attention, packed to the same length."""
    features = packed_pairs()
    names = ["source", "target", "source_segment_ids", "target_segment_ids"]
    inputs = {name: keras.Input([None], dtype="int32", name=name) for name in names}
    source, target, source_ids, target_ids = inputs.values()
    memory, h = (layers.Embedding(VOCABULARY, WIDTH)(tokens) for tokens in (source, target))
    cross = layers.MultiHeadAttention(2, 4, name="cross")
    h = layers.Add()([h, cross(h, memory, attention_mask=allowed(target_ids, source_ids))])
    model = keras.Model(inputs, layers.Dense(CLASSES)(h))
    return model, {name: features[name].numpy().copy() for name in names}
