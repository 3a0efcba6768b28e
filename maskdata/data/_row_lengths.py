"""An array, arrays by feature or a dataset -> the row lengths of each feature, checked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from maskdata._progress import progress
from maskdata.data import _check
from maskdata.data._blocks import map_blocks

Ints = npt.NDArray[np.int64]


def row_lengths(
    who: str, lengths: Any, features: str | Sequence[str] | None
) -> tuple[tuple[str, ...], Ints]:
    """Return the names of the F features and their row lengths [F, N]; a plain array has no name.

    >>> row_lengths("plan", {"source": [3, 1], "target": [4, 0]}, "target")
    (('target',), array([[4, 0]]))
    >>> row_lengths("plan", [3, 1], None)
    ((), array([[3, 1]]))
    """
    names = [features] if isinstance(features, str) else features
    if names is not None:
        _check.names(who, "features", names)
    if isinstance(lengths, tf.data.Dataset):
        found = _of_dataset(who, lengths, names)
    elif isinstance(lengths, Mapping):
        found = _of_mapping(who, lengths, names)
    elif names is None:
        return (), _of_array(who, "lengths", lengths)[None]
    else:
        remedy = "Pass the lengths by name: {'tokens': [3, 5, 2]}."
        _check.refuse(who, "features must be None if lengths have no names", features, remedy)
        raise AssertionError
    arrays = {name: _of_array(who, name, array) for name, array in found.items()}
    _check_same_rows(who, arrays)
    return tuple(arrays), np.stack(list(arrays.values()))


def _of_array(who: str, name: str, lengths: Any) -> Ints:
    try:
        array = np.asarray(lengths)
    except ValueError:  # NumPy, of rows instead of their lengths
        array = np.array(None)
    if array.size == 0:
        _check.refuse(who, f"{name} must have at least one row", lengths, "Was the data empty?")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        _check.refuse(
            who,
            f"{name} must be one whole number for each row",
            lengths,
            "Of a ragged tensor, pass row_lengths(); of a list of rows, [len(row) for row in rows].",
            TypeError,
        )
    if array.min() < 0:
        row = int(array.argmin())
        must = f"{name} must be at least 0, in row {row} too"
        _check.refuse(who, must, int(array[row]), "Check what counted the steps.")
    return array.astype(np.int64)


def _of_mapping(
    who: str, lengths: Mapping[str, Any], names: Sequence[str] | None
) -> dict[str, Any]:
    names = list(lengths) if names is None else names
    _check.names(who, "the names of lengths", names)
    for name in names:
        _check.feature(who, dict(lengths), name)
    return {name: lengths[name] for name in names}


def _of_dataset(who: str, dataset: tf.data.Dataset, names: Sequence[str] | None) -> dict[str, Any]:
    """Read the dataset once; what is kept is four bytes for each row and feature."""
    spec = _check.blocks(who, dataset)
    ragged = [name for name, found in spec.items() if isinstance(found, tf.RaggedTensorSpec)]
    if names is None:
        remedy = f"Pass features=, one or several of {ragged}."
        _check.refuse(who, "features must name what to measure", names, remedy, TypeError)
        raise AssertionError
    for name in names:
        _check.ragged_feature(who, spec, name)
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        _check.refuse(
            who, "the dataset must have an end", dataset, "Put repeat() after the batches."
        )
    measured = map_blocks(
        dataset, lambda block: tuple(tf.cast(block[name].row_lengths(), tf.int32) for name in names)
    )
    blocks = [[np.zeros(0, np.int32)] * len(names)]
    for block in progress(measured, "Measuring rows, in blocks"):
        arrays = [array.numpy() for array in block]
        _check_same_rows(who, dict(zip(names, arrays, strict=True)))
        blocks.append(arrays)
    joined = map(np.concatenate, zip(*blocks, strict=True))
    return dict(zip(names, joined, strict=True))


def _check_same_rows(who: str, lengths: dict[str, Any]) -> None:
    counts = {name: len(array) for name, array in lengths.items()}
    if len(set(counts.values())) > 1:
        must = "all features must have the same number of rows"
        _check.refuse(who, must, counts, "Measure them on the same rows.")
