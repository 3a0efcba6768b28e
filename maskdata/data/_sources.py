"""Arguments that say what to read: paths of files, and the features that are in them."""

import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._types import Spec


def path_of(who: str, argument: str, value: Any) -> str:
    """Return a path as a str; refuse anything that is none."""
    if not isinstance(value, str | os.PathLike):
        _check.refuse(who, f"{argument} must be a path", value, "Pass str or Path.", TypeError)
    return str(os.fspath(value))


def paths_of_files(who: str, argument: str, value: Any) -> list[str]:
    """Return the path of a file, or of several, in a list; refuse those that do not exist."""
    given = [value] if isinstance(value, str | os.PathLike) else list(value)
    if not given:
        _check.refuse(who, f"{argument} must name at least one file", value, "Pass a path.")
    paths = [path_of(who, f"each of {argument}", path) for path in given]
    for path in paths:
        if not tf.io.gfile.exists(path) or tf.io.gfile.isdir(path):
            must = f"each of {argument} must be an existing file"
            remedy = "Check the path; list a directory's files with glob."
            _check.refuse(who, must, path, remedy, FileNotFoundError)
    return paths


def specs_of_blocks(who: str, features: Any) -> Spec:
    """Return the specs of features; refuse anything but specs of blocks with known inner dimensions."""
    if not isinstance(features, Mapping) or not features:
        must = "features must map names to the specs of a block"
        remedy = "Pass {'tokens': tf.RaggedTensorSpec([None, None], tf.int64)}."
        _check.refuse(who, must, features, remedy, TypeError)
    for name, spec in features.items():
        _check.name(who, "each feature", name)
        if not isinstance(spec, tf.TensorSpec | tf.RaggedTensorSpec) or not spec.shape.rank:
            must = f"feature {name!r} must be the spec of a block, [None, ...]"
            _check.refuse(
                who, must, spec, "Pass a tf.TensorSpec or tf.RaggedTensorSpec.", TypeError
            )
        num_open = getattr(spec, "ragged_rank", 0) + 1
        if (
            None in spec.shape[num_open:].as_list()
            or spec.shape[:num_open].as_list() != [None] * num_open
        ):
            must = f"feature {name!r} must have open rows and steps, and known inner dimensions"
            _check.refuse(
                who,
                must,
                spec,
                "With [T, 3] in a row: tf.RaggedTensorSpec([None, None, 3], dtype, ragged_rank=1).",
            )
    return dict(features)
