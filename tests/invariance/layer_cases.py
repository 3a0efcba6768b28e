"""Each layer, what it must give for a row without padding, and the stock layer that fails at it."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from maskdata import layers
from tests.invariance.layer_calls import (
    AddPositions,
    OnOneMemory,
    at_its_place,
    attend_with_noise,
    drop,
    halves,
    last_two_steps,
    queries_for,
    split_at,
    sums_and_steps,
)


@dataclasses.dataclass
class Case:
    """A layer of maskdata beside the stock one.

    `call` runs either of them on steps [B, L, D] with a mask, and returns one tensor or more.
    `alone` runs on one row [1, T, D] without padding or mask, and its number in the batch; if it
    is not given, that is `call` with the stock layer and the weights of ours.
    """

    ours: Callable[[], Any]
    stock: Callable[[], Any]
    fault: str  # what the stock layer gets wrong: values, gradients, or only the mask
    call: Callable[[Any, Any], Any] = lambda layer, h: layer(h)
    alone: Callable[[Any, Any, int], Any] | None = None
    shortest_row: int = 1  # how many steps a row must have for any output

    @property
    def sides(self) -> tuple[str, ...]:
        """Where rows may be padded: between valid steps too, if no neighbours are read."""
        windows = "kernel_size", "pool_size", "indices_or_sections"
        reads_neighbours = any(hasattr(self.ours(), name) for name in windows)
        return ("right", "left") if reads_neighbours else ("right", "left", "holes")


def twins(ours: Any, stock: Any, fault: str, *args: Any, **kwargs: Any) -> Case:
    """Return the case of two layers with the same arguments."""
    how = {name: kwargs.pop(name) for name in ("call", "shortest_row") if name in kwargs}
    made = functools.partial(ours, *args, **kwargs), functools.partial(stock, *args, **kwargs)
    return Case(*made, fault, **how)


def conv(fault: str, kernel_size: int, *, padding: str, **kwargs: Any) -> Case:
    kwargs = kwargs | {"activation": "tanh", "padding": padding}
    reach = (kernel_size - 1) * kwargs.get("dilation_rate", 1) + 1
    shortest = reach if padding == "valid" else 1
    kinds = layers.MaskedConv1D, keras.layers.Conv1D
    return twins(*kinds, fault, 3, kernel_size, shortest_row=shortest, **kwargs)


def attention(fault: str, call: Any, **kwargs: Any) -> Case:
    kinds = layers.MaskedMultiHeadAttention, keras.layers.MultiHeadAttention
    return twins(*kinds, fault, 2, 3, call=call, **kwargs)


einsum_dense = functools.partial(keras.layers.EinsumDense, "bld,de->ble", (None, 3))
normalization = layers.MaskedGroupNormalization, keras.layers.GroupNormalization
softmax = layers.MaskedSoftmax, keras.layers.Softmax
pools = {
    "Average": (layers.MaskedAveragePooling1D, keras.layers.AveragePooling1D),
    "Max": (layers.MaskedMaxPooling1D, keras.layers.MaxPooling1D),
}
global_average = layers.MaskedGlobalAveragePooling1D, keras.layers.GlobalAveragePooling1D

CASES = {
    "Conv1D, same": conv("values", 3, padding="same"),
    "Conv1D, same, even kernel": conv("values", 4, padding="same"),
    "Conv1D, same, strides": conv("values", 3, padding="same", strides=2),
    "Conv1D, same, far strides": conv("values", 2, padding="same", strides=3),
    "Conv1D, same, dilation": conv("values", 3, padding="same", dilation_rate=2),
    "Conv1D, causal": conv("values", 3, padding="causal"),
    "Conv1D, causal, strides": conv("values", 3, padding="causal", strides=2),
    "Conv1D, causal, dilation": conv("values", 2, padding="causal", dilation_rate=3),
    "Conv1D, valid": conv("mask", 3, padding="valid"),
    "Conv1D, valid, strides": conv("values", 2, padding="valid", strides=3),
    "Conv1D, valid, dilation": conv("mask", 2, padding="valid", dilation_rate=2),
    **{
        f"{name}Pooling1D, {padding}, strides {strides}": twins(
            *kinds,
            fault,
            size,
            strides=strides,
            padding=padding,
            shortest_row=size if padding == "valid" else 1,
        )
        for name, kinds in pools.items()
        for padding, size, strides, fault in (
            ("same", 3, 1, "values"),
            ("same", 2, None, "values"),
            ("same", 2, 3, "values"),
            ("valid", 3, 2, "values"),
            ("valid", 2, 1, "mask"),
        )
    },
    "GlobalAveragePooling1D": twins(*global_average, "numbers"),
    "GlobalMaxPooling1D": twins(
        layers.MaskedGlobalMaxPooling1D, keras.layers.GlobalMaxPooling1D, "values"
    ),
    "MultiHeadAttention, self": attention("input's mask", lambda layer, h: layer(h, h)),
    "MultiHeadAttention, causal": attention(
        "input's mask", lambda layer, h: layer(h, h, use_causal_mask=True)
    ),
    "MultiHeadAttention, window": attention(
        "input's mask", lambda layer, h: layer(h, h), sliding_window=2
    ),
    "MultiHeadAttention, noise": Case(
        lambda: layers.MaskedMultiHeadAttention(2, 3, dropout=0.5, seed=1),
        lambda: keras.layers.MultiHeadAttention(2, 3, dropout=0.5, seed=1),
        "values",
        call=attend_with_noise,
        alone=at_its_place(attend_with_noise),
    ),
    "MultiHeadAttention, queries without mask": attention(
        "input's mask", lambda layer, h: layer(queries_for(h), h)
    ),
    "MultiHeadAttention, other queries": attention(
        "input's mask", lambda layer, h: layer(last_two_steps(h), h, use_causal_mask=False)
    ),
    "MultiHeadAttention, two on one memory": Case(
        lambda: OnOneMemory(layers.MaskedMultiHeadAttention),
        lambda: OnOneMemory(keras.layers.MultiHeadAttention),
        "values",
    ),
    "Softmax, over time": twins(*softmax, "refuses", axis=1),
    "Softmax, over features": twins(*softmax, "refuses"),
    "GroupNormalization": twins(*normalization, "values", 2),
    "GroupNormalization, instances": twins(*normalization, "values", -1, epsilon=0.1),
    "Dropout": Case(
        lambda: layers.MaskedDropout(0.5, seed=1),
        lambda: keras.layers.Dropout(0.5, seed=1),
        "values",
        call=drop,
        alone=at_its_place(drop),
    ),
    "PositionEmbedding": Case(
        lambda: layers.PositionEmbedding(20, initializer="normal"),
        AddPositions,
        "values",
        alone=lambda layer, row, number: row + layer.embeddings[: row.shape[1]],
    ),
    "TemporalSplit": Case(
        lambda: layers.TemporalSplit(2),
        lambda: lambda h: keras.ops.split(h, 2, axis=1),
        "values",
        alone=halves,
    ),
    "TemporalSplit, first and last": Case(
        lambda: layers.TemporalSplit([1, -1]),
        lambda: lambda h: [h[:, :1], h[:, 1:-1], h[:, -1:]],
        "values",
        alone=split_at(1, -1),
    ),
    "RepeatVector": Case(
        layers.RepeatVector,
        lambda: lambda pair: keras.layers.RepeatVector(int(pair[1].shape[1]))(pair[0]),
        "mask",
        call=lambda layer, h: layer(sums_and_steps(h)),
    ),
    "KeepMask": Case(lambda: layers.KeepMask(einsum_dense()), einsum_dense, "mask"),
    "KeepMask, residual": Case(
        lambda: layers.KeepMask(keras.layers.Add()),
        keras.layers.Add,
        "mask",
        call=lambda layer, h: layer([h, tf.tanh(h)]),
    ),
}
