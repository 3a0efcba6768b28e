"""Columns: flat tensors, and where in them each row stands -> any rows of them, gathered."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf


class Spans(NamedTuple):
    """A ragged level: the steps of row `i` stand from `starts[i]` to `limits[i]`, `stride` apart.

    Unlike those of row splits, spans may lie anywhere: in a file, with other things between them.
    """

    starts: tf.Tensor
    limits: tf.Tensor
    stride: tf.Tensor
    values: Any


class Vectors(NamedTuple):
    """Vectors, or matrices, in flat `values`: each has its entries at `offsets` from where it starts."""

    values: tf.Tensor
    offsets: tf.Tensor


Column = Any
"""A tensor, `Spans` or `Vectors`."""

Columns = Mapping[str, Column]


def column_of(feature: tf.Tensor | tf.RaggedTensor) -> Column:
    """Return a feature as a column; its values are not copied."""
    if not isinstance(feature, tf.RaggedTensor):
        return feature
    stride = tf.ones([], feature.row_splits.dtype)
    return Spans(feature.row_starts(), feature.row_limits(), stride, column_of(feature.values))


def gather(column: Column, rows: tf.Tensor) -> Any:
    """Return these rows of a column, as a tensor or a ragged tensor.

    `tf.gather` of a ragged tensor would look at all its row splits in every call.

    >>> gather(column_of(tf.ragged.constant([[1, 2], [], [3]])), [2, 0]).to_list()
    [[3], [1, 2]]
    """
    match column:
        case Spans(starts, limits, stride, values):
            steps = tf.ragged.range(tf.gather(starts, rows), tf.gather(limits, rows), stride)
            return steps.with_values(gather(values, steps.values))
        case Vectors(values, offsets):
            starts = tf.reshape(rows, [-1, *[1] * offsets.shape.rank])
            return tf.gather(values, starts + offsets)
        case _:
            return tf.gather(column, rows)


def gather_all(columns: Columns, rows: tf.Tensor) -> dict[str, Any]:
    """Return the same rows of all columns."""
    return {name: gather(column, rows) for name, column in columns.items()}


def num_rows(column: Column) -> int:
    """Return how many rows a column has."""
    return int((column.starts if isinstance(column, Spans) else column).shape[0])


def row_lengths(column: Spans) -> npt.NDArray[np.int64]:
    """Return how many steps each row has."""
    return np.asarray((column.limits - column.starts) // column.stride, np.int64)


def bytes_per_row(columns: Columns) -> float:
    """Return the bytes of a row of all columns, on average over a thousand rows."""
    total = num_rows(next(iter(columns.values())))
    some = np.unique(np.linspace(0, total - 1, 1000).astype(np.int64))
    tensors = tf.nest.flatten(gather_all(columns, some), expand_composites=True)
    return float(sum(tf.size(t).numpy() * max(t.dtype.size, 1) for t in tensors) / len(some))
