"""Blocks of rows <-> records: a serialized `tf.train.Example` for each row, a whole block at once."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._types import Element, Spec

LISTS = {
    tf.int64: ("int64_list", "Int64List"),
    tf.float32: ("float_list", "FloatList"),
    tf.string: ("bytes_list", "BytesList"),
}
"""What a feature of an Example may hold: the field of its kind, and the message in it."""

AS_BITS = (tf.float64, tf.uint64)
"""Stored as the int64 of the same bits, because no list of an Example can hold their values."""

SLOTS = 2**20
"""How many values are padded at once, at most, to be encoded; a longer row is encoded alone."""


def check_codec(who: str, spec: Spec) -> None:
    """Refuse features that an Example cannot hold."""
    keys: dict[str, str] = {}
    for name, found in spec.items():
        _check.name(who, "each feature", name)
        _list_dtype(who, name, found.dtype)
        if 0 in _inner_shape(found):
            must = f"feature {name!r} must have inner dimensions of at least 1"
            _check.refuse(who, must, found, "Leave it out: it has no values.")
        for key in _keys(name, found):
            if key in keys:
                must = f"features {keys[key]!r} and {name!r} must not share the key {key!r}"
                _check.refuse(who, must, list(spec), "Rename one of them.")
            keys[key] = name


def encode(block: Element) -> tf.Tensor:
    """Return the rows as records [B]: standard Examples, which every reader of TFRecords knows.

    A list of steps is the list of that name. Nested rows are `NAME/ragged_flat_values` and, for each
    inner level, `NAME/ragged_row_lengths_0`, ..., as TensorFlow Datasets calls them.

    >>> record = encode({"n": tf.constant([7])})[0].numpy()
    >>> tf.train.Example.FromString(record).features.feature["n"].int64_list.value
    [7]
    """
    lists = dict(itertools.chain(*(_split(name, feature) for name, feature in block.items())))
    keys: list[str] = []
    features: list[tf.Tensor] = []
    for dtype, (field, message) in LISTS.items():
        same = {key: values for key, values in lists.items() if values.dtype == dtype}
        if same:
            encoded = tf.stack([_encode_lists(message, values) for values in same.values()], axis=1)
            features.append(_encode("Feature", **{field: encoded[..., None]}))
            keys += same
    feature = tf.concat(features, axis=1)
    key = tf.broadcast_to(tf.constant(keys), tf.shape(feature))
    entries = _encode("Features.FeatureEntry", key=key[..., None], value=feature[..., None])
    return _encode("Example", features=_encode("Features", feature=entries)[:, None])


def decode(records: tf.Tensor, spec: Spec, names: tf.Tensor | None = None) -> Element:
    """Return the rows of records as a block of this spec.

    Args:
        records: Serialized Examples [B].
        spec: The features to read.
        names: What errors call the records, [B].
    """
    wanted = {
        key: parse
        for name, found in spec.items()
        for key, parse in _parse_specs(name, found).items()
    }
    lists = tf.io.parse_example(records, wanted, example_names=names)
    return {name: _join(name, found, lists) for name, found in spec.items()}


def keys_and_dtypes(spec: Spec) -> dict[str, tf.DType]:
    """Return the keys that the Examples of these rows have, and what each holds."""
    return {
        key: parse.dtype
        for name, found in spec.items()
        for key, parse in _parse_specs(name, found).items()
    }


# The lists of a feature.


def _keys(name: str, spec: Any) -> list[str]:
    """Return the keys of a feature: its values, then the row lengths of its inner levels."""
    inner_levels = getattr(spec, "ragged_rank", 0) - 1
    if inner_levels < 1:
        return [name]
    lengths = [f"{name}/ragged_row_lengths_{level}" for level in range(inner_levels)]
    return [f"{name}/ragged_flat_values", *lengths]


def _split(name: str, feature: Any) -> list[tuple[str, tf.Tensor | tf.RaggedTensor]]:
    """Return the lists of a feature, [B, (n)] or [B, n] each."""
    values_key, *lengths_keys = _keys(name, feature)
    if not isinstance(feature, tf.RaggedTensor):
        return [(values_key, _to_list(tf.reshape(feature, [-1, math.prod(feature.shape[1:])])))]
    lists = []
    splits, *inner = (tf.cast(s, tf.int64) for s in feature.nested_row_splits)
    for key, inner_splits in zip(lengths_keys, inner, strict=True):
        lengths = inner_splits[1:] - inner_splits[:-1]
        lists.append((key, tf.RaggedTensor.from_row_splits(lengths, splits, validate=False)))
        splits = tf.gather(inner_splits, splits)
    flat = feature.flat_values
    splits = splits * math.prod(flat.shape[1:])
    values = tf.RaggedTensor.from_row_splits(tf.reshape(flat, [-1]), splits, validate=False)
    return [(values_key, values.with_values(_to_list(values.values))), *lists]


def _parse_specs(name: str, spec: Any) -> dict[str, Any]:
    values_key, *lengths_keys = _keys(name, spec)
    dtype = _list_dtype("decode", name, spec.dtype)
    if not isinstance(spec, tf.RaggedTensorSpec):
        return {values_key: tf.io.FixedLenFeature(spec.shape[1:], dtype)}
    values = tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int64)
    lengths = tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)
    return {values_key: values, **dict.fromkeys(lengths_keys, lengths)}


def _join(name: str, spec: Any, lists: Element) -> Any:
    """Return a feature from its lists."""
    values_key, *lengths_keys = _keys(name, spec)
    if not isinstance(spec, tf.RaggedTensorSpec):
        return _from_list(lists[values_key], spec.dtype)
    inner_shape = _inner_shape(spec)
    size = math.prod(inner_shape)
    limits = {key: lists[key].row_splits for key in (*lengths_keys, values_key)}
    message = f"{name}: each row must have whole steps of {size} values. Check its spec."
    whole = tf.debugging.assert_equal(limits[values_key] % size, tf.zeros([], tf.int64), message)
    with tf.control_dependencies([whole]):
        values = tf.identity(lists[values_key].values)
        limits[values_key] = limits[values_key] // size
    rows = tf.reshape(_from_list(values, spec.dtype), [-1, *inner_shape])
    for key in reversed(lengths_keys):
        rows = tf.RaggedTensor.from_row_lengths(rows, lists[key].values)
    splits, *inner_limits = limits.values()
    rows = tf.RaggedTensor.from_row_splits(rows, splits, validate=False)
    checks = []
    for inner_splits, limit in zip(rows.nested_row_splits[1:], inner_limits, strict=True):
        splits = tf.gather(inner_splits, splits)
        message = f"{name}: the row lengths of each row must add up to its values."
        checks.append(tf.debugging.assert_equal(splits, limit, message))
    with tf.control_dependencies(checks):
        return tf.identity(rows.with_row_splits_dtype(spec.row_splits_dtype))


def _inner_shape(spec: Any) -> list[int]:
    return spec.shape[getattr(spec, "ragged_rank", 0) + 1 :].as_list()  # type: ignore[no-any-return]


# dtypes.


def _list_dtype(who: str, name: str, dtype: tf.DType) -> tf.DType:
    if dtype == tf.string:
        return tf.string
    if dtype in (tf.float32, tf.float16, tf.bfloat16):
        return tf.float32
    if dtype.is_bool or dtype.is_integer or dtype in AS_BITS:
        return tf.int64
    must = f"feature {name!r} must hold numbers, bools or strings"
    _check.refuse(who, must, dtype, "Convert it with tf.cast, or leave it out.", TypeError)
    raise AssertionError


def _to_list(values: tf.Tensor) -> tf.Tensor:
    """Return values as one of the three dtypes of an Example, from which they can be had back."""
    if values.dtype in AS_BITS:
        return tf.bitcast(values, tf.int64)
    return tf.cast(values, _list_dtype("encode", "values", values.dtype))


def _from_list(values: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.bitcast(values, dtype) if dtype in AS_BITS else tf.cast(values, dtype)


# Messages. `tf.io.encode_proto` takes columns of them, the values of a field padded to [..., n].


def _encode(message: str, **fields: tf.Tensor) -> tf.Tensor:
    """Return messages [...], of fields [..., n] that have n values in each."""
    counts = tf.stack([tf.shape(values)[-1] for values in fields.values()])
    batch = tf.shape(next(iter(fields.values())))[:-1]
    sizes = tf.broadcast_to(counts, tf.concat([batch, [len(fields)]], axis=0))
    return tf.io.encode_proto(sizes, list(fields.values()), list(fields), f"tensorflow.{message}")


def _encode_lists(message: str, values: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
    """Return the lists of a feature as messages [B]."""
    if not isinstance(values, tf.RaggedTensor):
        return _encode(message, value=values)

    def encode_some(rows: tf.RaggedTensor) -> tf.Tensor:
        sizes = tf.cast(rows.row_lengths(), tf.int32)[:, None]
        return tf.io.encode_proto(sizes, [rows.to_tensor()], ["value"], f"tensorflow.{message}")

    return _in_slices(values, encode_some)


def _in_slices(
    rows: tf.RaggedTensor, encode_some: Callable[[tf.RaggedTensor], tf.Tensor]
) -> tf.Tensor:
    """Encode rows of like lengths together, so that one long row does not pad all others."""
    order = tf.argsort(rows.row_lengths(), direction="DESCENDING", stable=True)
    rows = tf.gather(rows, order)
    num_rows, lengths = tf.size(order), tf.cast(rows.row_lengths(), tf.int32)

    def encode_next(start: tf.Tensor, encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        limit = start + tf.maximum(SLOTS // tf.maximum(lengths[start], 1), 1)
        some = rows[start : tf.minimum(limit, num_rows)]
        return limit, tf.concat([encoded, encode_some(some)], axis=0)

    def is_left(start: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        return start < num_rows

    nothing = (tf.zeros([], tf.int32), tf.zeros([0], tf.string))
    shapes = (tf.TensorShape([]), tf.TensorShape([None]))
    _, encoded = tf.while_loop(is_left, encode_next, nothing, shapes)
    return tf.gather(encoded, tf.math.invert_permutation(order))
