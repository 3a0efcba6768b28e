"""Columns -> a hash of their rows, however they lie in memory."""

import hashlib
from typing import Any

import numpy as np
import tensorflow as tf

from maskdata.data._columns import Columns, bytes_per_row, gather_all, num_rows

BYTES_AT_ONCE = 2**22


def hash_columns(columns: Columns) -> str:
    """Return a hash of names, types, row lengths and values, read once from the first to the last row."""
    total = num_rows(next(iter(columns.values())))
    rows_at_once = max(1, int(BYTES_AT_ONCE / (1 + bytes_per_row(columns))))
    digests: dict[tuple[str, int], Any] = {}
    for start in range(0, total, rows_at_once):
        rows = tf.range(start, min(start + rows_at_once, total), dtype=tf.int64)
        for name, feature in sorted(gather_all(columns, rows).items()):
            for part, tensor in enumerate(_parts(feature)):
                # Each part has a digest of its own, so that it does not matter how rows are cut.
                digest = digests.setdefault((name, part), hashlib.sha256(_kind(name, tensor)))
                digest.update(np.asarray(tensor).tobytes())
    return hashlib.sha256(b"".join(digest.digest() for digest in digests.values())).hexdigest()


def _parts(feature: Any) -> list[tf.Tensor]:
    """Return the row lengths of each ragged level, then the values; strings by their hashes."""
    is_ragged = isinstance(feature, tf.RaggedTensor)
    lengths = feature.nested_row_lengths() if is_ragged else ()
    values = feature.flat_values if is_ragged else feature
    if values.dtype == tf.string:
        values = tf.strings.to_hash_bucket_strong(values, 2**63 - 1, key=[0, 0])
    return [*(tf.cast(of_level, tf.int64) for of_level in lengths), values]


def _kind(name: str, tensor: tf.Tensor) -> bytes:
    return f"{name} {tensor.dtype.name} {tensor.shape[1:]}".encode()
