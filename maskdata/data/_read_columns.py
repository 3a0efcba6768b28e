"""A dataset of blocks, or features in memory -> columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from maskdata._progress import progress
from maskdata.data import _check
from maskdata.data._blocks import no_rows
from maskdata.data._columns import Column, Columns, Spans, column_of, num_rows


def read_columns(who: str, rows: Any, ragged: Sequence[str]) -> dict[str, Column]:
    """Return rows as columns with the same number of rows, at least one; those named are ragged."""
    is_dataset = isinstance(rows, tf.data.Dataset)
    columns = _of_dataset(who, rows, ragged) if is_dataset else _of_mapping(who, rows, ragged)
    if _same_num_rows(who, columns) == 0:
        _check.refuse(who, "rows must have at least one row", rows, "Was the data empty?")
    return columns


def _of_dataset(who: str, dataset: tf.data.Dataset, ragged: Sequence[str]) -> dict[str, Column]:
    spec = _check.movable_rows(who, dataset)
    for name in ragged:
        _check.ragged_feature(who, spec, name)
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        remedy = "Put repeat() after the batches."
        _check.refuse(who, "the dataset must have an end", dataset, remedy)
    blocks = [no_rows(spec)]
    for block in progress(dataset, "Reading rows, in blocks"):
        _same_num_rows(who, {name: column_of(feature) for name, feature in block.items()})
        blocks.append(block)
    return {name: column_of(_join([block[name] for block in blocks])) for name in spec}


def _join(parts: Sequence[Any]) -> Any:
    """Return ragged tensors as one. `tf.concat` does so with several ops for each of them."""
    if not isinstance(parts[0], tf.RaggedTensor):
        return tf.concat(parts, axis=0)
    return tf.RaggedTensor.from_row_lengths(
        _join([part.values for part in parts]),
        tf.concat([part.row_lengths() for part in parts], axis=0),
        validate=False,
    )


def _of_mapping(who: str, rows: Any, ragged: Sequence[str]) -> dict[str, Column]:
    if not isinstance(rows, Mapping) or not rows:
        _check.refuse(
            who,
            "rows must be a dataset of blocks or a mapping of names to features",
            rows,
            "Make a dataset with read_text, from_rows or tf.data.",
            TypeError,
        )
    columns = {name: _of_feature(who, name, feature) for name, feature in rows.items()}
    for name in ragged:
        if not isinstance(_check.feature(who, columns, name), Spans):
            must = f"feature {name!r} must be ragged [N, (T), ...]"
            _check.refuse(who, must, rows[name], "A dense feature has no row lengths.")
    return columns


def _of_feature(who: str, name: str, feature: Any) -> Column:
    _check.name(who, "each name of rows", name)
    if type(feature).__module__.startswith("pyarrow."):
        from maskdata.data.arrow._columns import column_of_arrow  # pyarrow is an extra

        return column_of_arrow(who, name, feature)
    if isinstance(feature, np.ndarray) and feature.dtype != object:
        feature = tf.constant(feature)
    if not isinstance(feature, tf.Tensor | tf.RaggedTensor) or feature.shape.rank == 0:
        must = f"{name!r} must be a tensor, a ragged tensor, an array or an Arrow array of rows"
        remedy = "Pass from_rows({...}), which also takes lists."
        _check.refuse(who, must, feature, remedy, TypeError)
    return column_of(feature)


def _same_num_rows(who: str, columns: Columns) -> int:
    counts = {name: num_rows(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        must = "all features must have the same number of rows"
        _check.refuse(who, must, counts, "Check what made them.")
    return next(iter(counts.values()))
