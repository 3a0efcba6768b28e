"""Batches of unknown number -> the same batches, their number known."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import tensorflow as tf

from maskdata._progress import progress
from maskdata.data import _check
from maskdata.data._atomic import write_atomically
from maskdata.data._blocks import map_blocks
from maskdata.data._fingerprint import (
    calls_python,
    changes_each_pass,
    files_of,
    fingerprint,
    graph_of,
)


@final
@dataclass(frozen=True)
class CountBatches:
    """Count the batches by reading them once, so that Keras knows when an epoch ends.

    Stage: batches -> **the same batches, their number known**.

    Filters, buckets and generators leave the number of batches unknown. Keras then finds the end of
    an epoch by running into it, and takes one optimizer step too many in each. Place this where
    batches are cheap: after the batching transform, before `ToDense`. Everything downstream keeps
    the number. If a later pass has another number of batches, reading it is an error.

    Args:
        remember: A JSON file for the number. It is found again if nothing has changed that it
            depends on: the transforms, their arguments and vocabularies, rows in memory, and
            the names, sizes and modification times of the files that are read.

    Shapes:
        in, out: any; the number of batches is `dataset.cardinality()`

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a dataset without
            end, or to be remembered, for one whose graph cannot be written down (Python functions).
        tf.errors.FailedPreconditionError: When read, if the number of batches is another one.

    Example:
        >>> rows = md.from_rows({"ids": [[1], [2], [3, 4], [5, 6]]})
        >>> bucket = md.BucketBySequenceLength("ids", [2], [2, 2])
        >>> int(rows.apply(bucket).cardinality()), tf.data.UNKNOWN_CARDINALITY
        (-2, -2)
        >>> int(rows.apply(bucket).apply(md.CountBatches()).cardinality())
        2

    Source: `EpochIterator` of Keras 3.15, which learns the number of batches from `cardinality()`.
    """

    remember: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if self.remember is not None and not isinstance(self.remember, str | os.PathLike):
            _check.refuse(
                "CountBatches", "remember must be a path", self.remember, "Pass a str.", TypeError
            )

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset with its number of batches asserted."""
        _check.dataset("CountBatches", dataset)
        cardinality = int(dataset.cardinality())
        if cardinality == tf.data.INFINITE_CARDINALITY:
            _check.refuse(
                "CountBatches",
                "the dataset must have an end",
                dataset,
                "Put repeat() after it, and pass steps_per_epoch to fit.",
            )
        if cardinality >= 0:
            return dataset
        number = _count(dataset) if self.remember is None else _recall(Path(self.remember), dataset)
        return dataset.apply(tf.data.experimental.assert_cardinality(number))


def _count(dataset: tf.data.Dataset) -> int:
    ones = map_blocks(dataset, lambda *_: tf.constant(1, tf.int64)).batch(64)
    return sum(int(tf.size(some)) for some in progress(ones, "Counting batches, by 64"))


def _recall(path: Path, dataset: tf.data.Dataset) -> int:
    """Return the number from the file if nothing has changed; else count and write it down."""
    graph = graph_of(dataset)
    key = _key(dataset, graph)
    known = json.loads(path.read_text()) if path.exists() else {}
    if key in known:
        if changes_each_pass(graph):
            next(iter(dataset), None)  # for counting is a pass, and the next one must be the same
        return int(known[key])
    known[key] = _count(dataset)
    write_atomically(path, json.dumps(known, indent=2).encode())
    return int(known[key])


def _key(dataset: tf.data.Dataset, graph: Any) -> str:
    if calls_python(graph):
        _check.refuse(
            "CountBatches",
            "a number to remember must depend on the graph alone",
            dataset,
            "It calls Python functions, whose changes cannot be seen: leave out `remember`.",
        )
    files: list[Any] = []
    for name in files_of(graph):
        found = tf.io.gfile.stat(name)
        files.append([name, found.length, found.mtime_nsec])
    return f"{fingerprint(graph)} {json.dumps(files)}"
