"""How layers are called on padded steps, and on one row, where that is more than `layer(h)`."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask

FEATURES = 4
QUERIES = np.random.default_rng(0).normal(size=(1, 3, FEATURES)).astype("float32")


def queries_for(h: Any) -> Any:
    return tf.repeat(tf.constant(QUERIES), tf.shape(h)[0], axis=0)


def valid(h: Any) -> Any:
    mask = keras_mask(h)
    return tf.ones(tf.shape(h)[:2], bool) if mask is None else tf.cast(mask, bool)


def last_two_steps(h: Any) -> Any:
    """Return queries of another length than the memory, with a mask, on the same side."""
    mask = valid(h)
    place = tf.cumsum(tf.cast(mask, tf.int32), axis=1)
    late = tf.logical_and(mask, place > tf.reduce_max(place, axis=1, keepdims=True) - 2)
    return AttachMask()([tf.reverse(h, [2]), late])


def attend_with_noise(layer: Any, h: Any) -> Any:
    layer(h, h)  # so that it has its weights
    layer._dropout_layer.seed_generator.state.assign([3, 0])
    return layer(h, h, use_causal_mask=True, training=True)


def drop(layer: Any, h: Any) -> Any:
    layer.seed_generator.state.assign([3, 0])
    return layer(h, training=True)


def at_its_place(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any, int], Any]:
    """Return `call` for one row at its place in a batch of such rows: noise depends on it."""

    def alone(layer: Any, row: Any, number: int) -> Any:
        rows = tf.repeat(row, number + 1, axis=0)
        return call(layer, AttachMask()([rows, tf.ones(tf.shape(rows)[:2])]))[number:]

    return alone


class OnOneMemory(keras.layers.Layer):
    """Two attention layers that read one memory, with a residual sum after each."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.supports_masking = True
        self.first, self.second = attention(2, 3), attention(2, 3)
        self.add = keras.layers.Add()

    def build(self, shape: Any) -> None:
        self.first.build(shape, shape)
        self.second.build(shape, shape)

    def call(self, h: Any) -> Any:
        queries = AttachMask()([tf.reverse(h, [2]), valid(h)])
        first = self.add([queries, self.first(queries, h)])
        return self.add([first, self.second(first, h)])


class AddPositions(keras.layers.Layer):
    """What is written by hand: vectors counted from the first slot."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=(20, shape[-1]), initializer="normal")

    def call(self, h: Any) -> Any:
        return h + self.table[: tf.shape(h)[1]]


def sums_and_steps(h: Any) -> list[Any]:
    return [tf.reduce_sum(tf.where(valid(h)[..., None], h, 0), axis=1), h]


def split_at(*indices: int) -> Callable[[Any, Any, int], list[Any]]:
    def alone(layer: Any, row: Any, number: int) -> list[Any]:
        length = row.shape[1]
        bounds = [0]
        for index in indices:
            bounds.append(max(bounds[-1], length + index if index < 0 else min(index, length)))
        return [row[:, a:b] for a, b in zip(bounds, [*bounds[1:], length], strict=True)]

    return alone


def halves(layer: Any, row: Any, number: int) -> list[Any]:
    return split_at((row.shape[1] + 1) // 2)(layer, row, number)
