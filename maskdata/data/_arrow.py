"""An Arrow array -> a column, in the memory that Arrow has it in: a mapped file is not read."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from maskdata.data import _check
from maskdata.data._columns import Column, Spans, Vectors

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
    chunks = chunked.chunks or [chunked.combine_chunks()]
    if _is_list(array.type):
        return _spans(who, name, chunks, array.type)
    _check_no_nulls(who, name, chunks)
    if not _is_vector(array.type):
        return _copied(who, name, chunks)
    vectors = _copied(who, name, [chunk.flatten() for chunk in chunks])
    return tf.reshape(vectors, [-1, array.type.list_size])


def _spans(who: str, name: str, chunks: Sequence[Any], kind: Any) -> Spans:
    _check_no_nulls(who, name, chunks)
    offsets = [np.asarray(chunk.offsets, np.int64) for chunk in chunks]
    steps = [
        chunk.values.slice(of_chunk[0], of_chunk[-1] - of_chunk[0])
        for chunk, of_chunk in zip(chunks, offsets, strict=True)
    ]
    values, begins = _steps(who, name, steps, kind.value_type)
    stride = int(values.offsets.shape[0]) if isinstance(values, Vectors) else 1
    bounds = [(o - o[0]) * stride + begin for o, begin in zip(offsets, begins, strict=True)]
    return Spans(
        tf.constant(np.concatenate([of_chunk[:-1] for of_chunk in bounds])),
        tf.constant(np.concatenate([of_chunk[1:] for of_chunk in bounds])),
        tf.constant(stride, tf.int64),
        values,
    )


def _steps(who: str, name: str, chunks: Sequence[Any], kind: Any) -> tuple[Column, Sequence[int]]:
    """Return what is in lists as a column, and where in it each chunk begins."""
    if _is_list(kind):
        return _spans(who, name, chunks, kind), _begins(chunks)
    _check_no_nulls(who, name, chunks)
    if not _is_vector(kind):
        return _values(who, name, chunks, kind)
    parts = [chunk.flatten() for chunk in chunks]
    values, begins = _values(who, name, parts, kind.value_type)
    return Vectors(values, tf.range(kind.list_size, dtype=tf.int64)), begins


def _values(
    who: str, name: str, chunks: Sequence[Any], kind: Any
) -> tuple[tf.Tensor, Sequence[int]]:
    """Return flat values as one tensor, and where in it each chunk begins."""
    _check_no_nulls(who, name, chunks)
    return _shared(chunks, kind) or (_copied(who, name, chunks), _begins(chunks))


def _shared(chunks: Sequence[Any], kind: Any) -> tuple[tf.Tensor, Sequence[int]] | None:
    """Return the memory of which all chunks are parts as a tensor, if TensorFlow can use it."""
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
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
    return _as_tensor(root, kind.to_pandas_dtype()), [start // size for start in starts]


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


def _copied(who: str, name: str, chunks: Sequence[Any]) -> tf.Tensor:
    try:
        return tf.constant(np.concatenate([c.to_numpy(zero_copy_only=False) for c in chunks]))
    except (TypeError, ValueError, pa.ArrowException):
        must, remedy = f"{name!r} must hold numbers, bools or strings", "Cast it with pyarrow."
        _check.refuse(who, must, str(chunks[0].type), remedy, TypeError)
        raise AssertionError from None


def _begins(chunks: Sequence[Any]) -> Sequence[int]:
    return np.cumsum([0, *map(len, chunks)])[:-1].tolist()  # type: ignore[no-any-return]


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_vector(kind: Any) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def _check_no_nulls(who: str, name: str, chunks: Sequence[Any]) -> None:
    nulls = sum(chunk.null_count for chunk in chunks)
    if nulls:
        remedy = "Fill them with pyarrow.compute.fill_null, or leave their rows out."
        _check.refuse(who, f"{name!r} must have no nulls", nulls, remedy)
