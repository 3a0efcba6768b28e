"""Arrow types <-> the specs of features."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import tensorflow as tf

from maskdata.data import _check
from maskdata.data._types import Spec


def is_list(kind: Any) -> bool:
    """Tell whether this is the type of lists of any size."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def is_vector(kind: Any) -> bool:
    """Tell whether this is the type of lists of a fixed size."""
    return bool(pa.types.is_fixed_size_list(kind))


def is_number(kind: Any) -> bool:
    """Tell whether this is the type of numbers that TensorFlow has, bools not among them."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def is_text(kind: Any) -> bool:
    """Tell whether this is a type of strings or bytes."""
    tests = (pa.types.is_string, pa.types.is_binary)
    large = (pa.types.is_large_string, pa.types.is_large_binary)
    return any(test(kind) for test in (*tests, *large))


def spec_of_schema(who: str, schema: Any, names: Iterable[str] | None = None) -> Spec:
    """Return the spec of blocks of these columns, by default all."""
    types = dict(zip(schema.names, schema.types, strict=True))
    if len(types) < len(schema.names):
        must = "each column must have a name of its own"
        _check.refuse(who, must, schema.names, "Rename the columns.")
    names = list(types) if names is None else names
    return {name: spec_of_type(who, name, _check.feature(who, types, name)) for name in names}


def spec_of_type(who: str, name: str, kind: Any) -> tf.TensorSpec | tf.RaggedTensorSpec:
    """Return the spec of a column: lists are ragged, lists of a fixed size dense."""
    ragged_rank, leaf = 0, kind
    inner: list[int] = []
    while is_list(leaf):
        ragged_rank, leaf = ragged_rank + 1, leaf.value_type
    while is_vector(leaf):
        inner, leaf = [*inner, leaf.list_size], leaf.value_type
    if pa.types.is_dictionary(leaf):
        leaf = leaf.value_type
    if is_number(leaf) or pa.types.is_boolean(leaf):
        dtype = tf.as_dtype(pa.array([], leaf).to_numpy(zero_copy_only=False).dtype)
    elif is_text(leaf):
        dtype = tf.string
    else:
        must = f"column {name!r} must hold numbers, bools, strings, or lists of them"
        remedy = "Cast it with pyarrow.compute, or leave it out."
        _check.refuse(who, must, str(kind), remedy, TypeError)
    shape = [None] * (ragged_rank + 1) + inner
    if not ragged_rank:
        return tf.TensorSpec(shape, dtype)
    return tf.RaggedTensorSpec(shape, dtype, ragged_rank, tf.int64)


def type_of_spec(who: str, name: str, spec: Any) -> Any:
    """Return the Arrow type of a feature.

    >>> str(type_of_spec("read", "x", tf.RaggedTensorSpec([None, None, 3], tf.float32, 1)))
    'list<item: fixed_size_list<item: float>[3]>'
    """
    if spec.dtype == tf.string:
        kind = pa.string()
    elif spec.dtype.is_bool or spec.dtype.is_integer or spec.dtype in (tf.float32, tf.float64):
        kind = pa.from_numpy_dtype(spec.dtype.as_numpy_dtype)
    else:
        must = f"feature {name!r} must hold numbers, bools or strings"
        _check.refuse(who, must, spec.dtype, "Convert it later with tf.cast.", TypeError)
    ragged_rank = getattr(spec, "ragged_rank", 0)
    for size in reversed(spec.shape[ragged_rank + 1 :].as_list()):
        kind = pa.list_(kind, size)
    for _ in range(ragged_rank):
        kind = pa.list_(kind)
    return kind
