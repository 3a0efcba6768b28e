"""The features of blocks <-> what JSON can hold."""

from typing import Any

import tensorflow as tf

from maskdata.data._types import Spec


def to_json(spec: Spec) -> dict[str, Any]:
    """Return a spec as plain values.

    >>> to_json({"tokens": tf.RaggedTensorSpec([None, None], tf.int64)})
    {'tokens': {'dtype': 'int64', 'shape': [None, None], 'ragged_rank': 1, 'row_splits_dtype': 'int64'}}
    """
    return {name: _feature_to_json(found) for name, found in spec.items()}


def from_json(values: dict[str, Any]) -> Spec:
    """Return the spec that `to_json` was given.

    >>> from_json({"label": {"dtype": "string", "shape": [None]}})
    {'label': TensorSpec(shape=(None,), dtype=tf.string, name=None)}
    """
    return {name: _feature_from_json(found) for name, found in values.items()}


def _feature_to_json(spec: Any) -> dict[str, Any]:
    values = {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
    if isinstance(spec, tf.RaggedTensorSpec):
        values["ragged_rank"] = spec.ragged_rank
        values["row_splits_dtype"] = spec.row_splits_dtype.name
    return values


def _feature_from_json(values: dict[str, Any]) -> Any:
    shape, dtype = values["shape"], tf.as_dtype(values["dtype"])
    if "ragged_rank" not in values:
        return tf.TensorSpec(shape, dtype)
    return tf.RaggedTensorSpec(
        shape, dtype, values["ragged_rank"], tf.as_dtype(values["row_splits_dtype"])
    )
