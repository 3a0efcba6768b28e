"""Heavy rows <-> references to them: rows that wait for others are moved without being copied.

A row of audio or video has hundreds of kilobytes, and what waits in a bucket is moved with every
block. Each row is therefore packed into a scalar of dtype variant, which TensorFlow moves as a
pointer. Packing costs about a microsecond a row and feature, which light rows (tokens, labels) would not earn back.
"""

import math
from typing import Any

import tensorflow as tf

HEAVY_STEP = 64
"""Bytes in a step of a ragged feature from which on its rows are packed."""

HEAVY_ROW = 4096
"""Bytes in a row of a dense feature from which on its rows are packed."""


def is_heavy(spec: Any) -> bool:
    """Whether rows of this spec are worth a reference.

    >>> frames = tf.RaggedTensorSpec([None, None, 80], tf.float32, ragged_rank=1)
    >>> tokens = tf.RaggedTensorSpec([None, None], tf.int64)
    >>> md.data._references.is_heavy(frames), md.data._references.is_heavy(tokens)
    (True, False)
    """
    is_ragged = isinstance(spec, tf.RaggedTensorSpec)
    if spec.dtype in (tf.string, tf.variant) or (is_ragged and spec.ragged_rank == 0):
        return False
    inner = spec.shape[spec.ragged_rank + 1 :] if is_ragged else spec.shape[1:]
    return bool(spec.dtype.size * math.prod(inner) >= (HEAVY_STEP if is_ragged else HEAVY_ROW))


def any_heavy(spec: Any) -> bool:
    """Whether `pack_rows` changes rows of this spec."""
    return any(is_heavy(feature) for feature in tf.nest.flatten(spec))


def pack_rows(rows: Any, spec: Any) -> Any:
    """Return the rows with each heavy feature as references [N] variant."""
    return tf.nest.map_structure(_pack_feature, rows, spec)


def _pack_feature(feature: Any, spec: Any) -> Any:
    if not is_heavy(spec):
        return feature
    if isinstance(feature, tf.Tensor):
        feature = tf.RaggedTensor.from_uniform_row_length(feature, 1)
    return tf.raw_ops.RaggedTensorToVariant(
        rt_nested_splits=feature.nested_row_splits,
        rt_dense_values=feature.flat_values,
        batched_input=True,
    )


def unpack_rows(rows: Any, spec: Any) -> Any:
    """Return what was packed; there must be at least one row."""
    return tf.nest.map_structure(_unpack_feature, rows, spec)


def _unpack_feature(feature: Any, spec: Any) -> Any:
    if not is_heavy(spec):
        return feature
    ragged_rank = getattr(spec, "ragged_rank", 1)
    splits, values = tf.raw_ops.RaggedTensorFromVariant(
        encoded_ragged=feature,
        input_ragged_rank=ragged_rank - 1,
        output_ragged_rank=ragged_rank,
        Tvalues=spec.dtype,
        Tsplits=getattr(spec, "row_splits_dtype", tf.int64),
    )
    if not isinstance(spec, tf.RaggedTensorSpec):
        return tf.ensure_shape(values, [None, *spec.shape[1:]])
    values = tf.ensure_shape(values, [None, *spec.shape[ragged_rank + 1 :]])
    return tf.RaggedTensor.from_nested_row_splits(values, splits, validate=False)


def join_references(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return `first`, then `second`: `tf.concat` has no kernel for variants (TensorFlow 2.21)."""
    size = tf.size(first)
    return tf.dynamic_stitch([tf.range(size), size + tf.range(tf.size(second))], [first, second])
