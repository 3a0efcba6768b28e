"""Blocks of rows -> a directory of files of records, with a manifest."""

import os
from pathlib import Path

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._atomic import write_directory_atomically
from maskdata.data._blocks import any_number_of_rows
from maskdata.data._sources import path_of
from maskdata.data.tfrecord import _shards
from maskdata.data.tfrecord._example_codec import check_codec
from maskdata.data.tfrecord.manifest import Manifest, read_manifest, write_manifest


def write_tfrecord(
    dataset: tf.data.Dataset, directory: str | os.PathLike[str], *, shards: int
) -> Manifest:
    """Write rows to TFRecord files, in a directory that is there whole or not at all.

    Stage: blocks -> **a directory of files of records**.

    Each row becomes one `tf.train.Example`, which every reader of TFRecords knows; row `i` goes to file
    `i` modulo `shards`. Beside the files stand what `read_tfrecord` needs to give back the
    same features, and to find every byte that is not what was written: `manifest.json`, which tells
    the features and the rows, bytes and checksum of each file, and fingerprints of pages and records.
    The row lengths are written too, so that planning needs no pass over the data:
    `plan_buckets(manifest.row_lengths, ...)`.

    Nothing half-written can ever be read: all is written to `DIRECTORY.unfinished`, on the disk before it
    gets its name at the end, and removed on any error. What kills the process leaves that directory
    behind; the next writer is told so. In an Example, integers and bools are int64, floats are
    float32; float64 and uint64 are stored as the int64 of the same bits, nested rows as values
    and row lengths, called as in TensorFlow Datasets: `NAME/ragged_flat_values`.

    Args:
        dataset: Blocks of rows, thousands at a time; `RaggedBatch(4096)` makes them of single rows.
        directory: A local directory that does not exist yet or is empty.
        shards: How many files to write. They are all open at once.

    Shapes:
        in: ragged [N, (T), ...], of any depth, or dense [N, ...]; inner dimensions must be known

    Raises:
        TypeError, ValueError: When called, for a bad argument, a dataset without end, or features that
            an Example cannot hold.
        FileExistsError: When called, if the directory has content, or someone else writes to it.
        tf.errors.ResourceExhaustedError, OSError: When called, if the disk is full.

    Example:
        >>> rows = md.from_rows({"tokens": [["to", "be"], [], ["or"]], "label": [0, 1, 2]})
        >>> manifest = md.write_tfrecord(rows, "three_rows", shards=2)
        >>> [(shard.file, shard.num_rows) for shard in manifest.shards]
        [('rows-00000-of-00002.tfrecord', 2), ('rows-00001-of-00002.tfrecord', 1)]
        >>> manifest.row_lengths["tokens"].tolist()
        [2, 0, 1]
    """
    who = "write_tfrecord"
    spec = _shards.open_axes(any_number_of_rows(_check.movable_rows(who, dataset)))
    check_codec(who, spec)
    _check.integer(who, "shards", shards)
    path = path_of(who, "directory", directory)
    if "://" in path:
        remedy = "Write to a local disk and copy the whole directory."
        _check.refuse(who, "directory must be a local path", path, remedy)
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        remedy = "Put repeat() after read_tfrecord."
        _check.refuse(who, "the dataset must have an end", dataset, remedy)
    with write_directory_atomically(who, Path(path)) as unfinished:
        files = [f"rows-{i:05}-of-{shards:05}.tfrecord" for i in range(shards)]
        index, row_lengths = _shards.write(who, dataset, [unfinished / file for file in files])
        index_by_file = dict(zip(files, index, strict=True))
        write_manifest(unfinished, spec, index_by_file, row_lengths, _shards.PAGE_BYTES)
    return read_manifest(path)
