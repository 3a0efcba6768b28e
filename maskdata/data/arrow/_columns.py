"""An Arrow array -> a column, in the memory that Arrow has it in: a mapped file is not read."""

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from maskdata.data import _check
from maskdata.data._columns import Column, Spans, Vectors
from maskdata.data.arrow._blocks import to_feature
from maskdata.data.arrow._nulls import refuse_nulls
from maskdata.data.arrow._types import is_list, is_number, is_vector, spec_of_type

ALIGNMENT = 64
"""Bytes. TensorFlow ends the process if the memory of a tensor does not begin at a multiple."""


def column_of_arrow(who: str, name: str, array: Any) -> Column:
    """Return an Arrow array, or one in chunks, as a column.

    The numbers in lists are not copied if they are all part of one buffer, as those of a file are
    that `pyarrow.memory_map` opened. All else is: strings, bools, chunks of several files.
    """
    if not isinstance(array, pa.Array | pa.ChunkedArray):
        must = f"{name!r} must be an Arrow array"
        remedy = "Of a table, pass dict(zip(table.column_names, table.columns))."
        _check.refuse(who, must, type(array), remedy, TypeError)
    chunked = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    spec_of_type(who, name, array.type)  # refuses what TensorFlow does not have
    refuse_nulls(who, name, chunked)
    chunks = chunked.chunks or [chunked.combine_chunks()]
    return _spans(chunks, array.type) if is_list(array.type) else _copied(chunks)


def _spans(chunks: Sequence[Any], kind: Any) -> Spans:
    offsets = [np.asarray(chunk.offsets, np.int64) for chunk in chunks]
    steps = [
        chunk.values.slice(of_chunk[0], of_chunk[-1] - of_chunk[0])
        for chunk, of_chunk in zip(chunks, offsets, strict=True)
    ]
    values, begins = _steps(steps, kind.value_type)
    stride = math.prod(values.offsets.shape) if isinstance(values, Vectors) else 1
    bounds = [(o - o[0]) * stride + begin for o, begin in zip(offsets, begins, strict=True)]
    return Spans(
        tf.constant(np.concatenate([of_chunk[:-1] for of_chunk in bounds])),
        tf.constant(np.concatenate([of_chunk[1:] for of_chunk in bounds])),
        tf.constant(stride, tf.int64),
        values,
    )


def _steps(chunks: Sequence[Any], kind: Any) -> tuple[Column, Sequence[int]]:
    """Return what is in lists as a column, and where in it each chunk begins."""
    if is_list(kind):
        return _spans(chunks, kind), _begins(chunks)
    shape: list[int] = []
    while is_vector(kind):
        shape.append(kind.list_size)
        chunks, kind = [chunk.flatten() for chunk in chunks], kind.value_type
    values, begins = _shared(chunks, kind) or (_copied(chunks), _begins(chunks))
    if not shape:
        return values, begins
    offsets = tf.reshape(tf.range(math.prod(shape), dtype=tf.int64), shape)
    return Vectors(values, offsets), begins


def _shared(chunks: Sequence[Any], kind: Any) -> tuple[tf.Tensor, Sequence[int]] | None:
    """Return the memory of which all chunks are parts as a tensor, if TensorFlow can use it."""
    if not is_number(kind):
        return None
    buffers = [chunk.buffers()[1] for chunk in chunks]
    roots = {root.address: root for root in map(_root, buffers) if root.size}
    if len(roots) != 1:
        return None
    (root,) = roots.values()
    size = kind.bit_width // 8
    starts = [
        buffer.address - root.address + chunk.offset * size if len(chunk) else 0
        for buffer, chunk in zip(buffers, chunks, strict=True)
    ]
    if root.address % ALIGNMENT or any(start % size for start in starts):
        return None
    dtype = pa.array([], kind).to_numpy(zero_copy_only=False).dtype
    return _as_tensor(root, dtype), [start // size for start in starts]


def _root(buffer: Any) -> Any:
    """Return the buffer of which this one is a part: the whole file, if it is mapped."""
    return buffer if buffer.parent is None else _root(buffer.parent)


def _as_tensor(buffer: Any, dtype: Any) -> tf.Tensor:
    """Return the memory of a buffer as a tensor.

    TensorFlow takes memory by DLPack, in a form that has no word for read-only: NumPy gives it only
    for an array that it does not know to be. Nobody writes to it; in a mapped file nobody could.
    """
    memory = (ctypes.c_char * buffer.size).from_address(buffer.address)
    memory.owner = buffer  # it lives as long as the tensor
    array = np.frombuffer(memory, dtype, count=buffer.size // np.dtype(dtype).itemsize)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def _copied(chunks: Sequence[Any]) -> tf.Tensor:
    return tf.concat([to_feature(chunk) for chunk in chunks], axis=0)


def _begins(chunks: Sequence[Any]) -> Sequence[int]:
    return np.cumsum([0, *map(len, chunks)])[:-1].tolist()  # type: ignore[no-any-return]
