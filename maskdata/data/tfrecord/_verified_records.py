"""Files of records and what is known of them -> the records, each after its bytes were verified.

TFRecords alone cannot tell that a file ends early or comes from another write, nor in which file a
byte is wrong. So each file is read in pages, and the records that end in a page are given out after
its fingerprint was found to be that of the page that was written.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks

BUFFER_BYTES = 2**18

Ints = npt.NDArray[np.int64]


class FileRecords(NamedTuple):
    """Which records to read from a file of P pages, in R runs.

    A run is made of records that follow one another, and can be read once the page in which it ends is
    known to be whole.
    """

    path: str
    num_bytes: int
    fingerprints: Ints
    """Of each page, [P]."""
    first_record: Ints
    last_record: Ints
    """The numbers of the records that have bytes in a page, [P]."""
    run_page: Ints
    """The number of the page in which each run ends, [R], increasing."""
    run_offset: Ints
    """Where each run begins, [R]."""
    run_length: Ints
    """How many records each run has, [R], at least 1."""


def read_verified(
    who: str, files: Sequence[FileRecords], page_bytes: int, cycle_length: int
) -> tf.data.Dataset:
    """Return a dataset of runs of records, [n] strings; files take turns, page by page.

    Args:
        who: Whom a refusal names.
        files: What to read.
        page_bytes: How many bytes of a file have one fingerprint.
        cycle_length: How many files to read at once.
    """
    num_pages = np.array([len(file.fingerprints) for file in files], np.int64)
    first_page = np.cumsum(num_pages) - num_pages
    file_of_page = np.repeat(np.arange(len(files)), num_pages)
    run_page = _join([f.run_page + first for f, first in zip(files, first_page, strict=True)])
    run_splits = np.searchsorted(run_page.numpy(), np.arange(len(file_of_page) + 1))
    paths = tf.constant([file.path for file in files], tf.string)
    page_path, run_path = tf.gather(paths, file_of_page), tf.gather(paths, file_of_page[run_page])
    fingerprints = _join([file.fingerprints for file in files])
    first_record = _join([file.first_record for file in files])
    last_record = _join([file.last_record for file in files])
    offset = _join([file.run_offset for file in files])
    length = _join([file.run_length for file in files])
    splits = tf.constant(run_splits, tf.int64)

    def read_pages(
        path: tf.Tensor, size: tf.Tensor, first_page: tf.Tensor, limit: tf.Tensor
    ) -> tf.data.Dataset:
        rest = size % page_bytes
        whole_pages = _fixed_length(path, 0, page_bytes, footer_bytes=rest)
        last_page = _fixed_length(path, size - rest, tf.maximum(rest, 1), footer_bytes=0)
        nothing = tf.data.Dataset.from_tensors("").repeat()  # a missing page must not go unseen
        contents = whole_pages.concatenate(last_page).concatenate(nothing)
        return tf.data.Dataset.zip((tf.data.Dataset.range(first_page, limit), contents))

    def verify(page: tf.Tensor, content: tf.Tensor) -> tf.Tensor:
        message = f"{who}: a file must hold the bytes that were written. Pass its directory to check_tfrecord, which finds the very records. The file, and the first and last record that wrong bytes may belong to, counted from 0:"
        where = [page_path[page], first_record[page], last_record[page]]
        fingerprint = tf.bitcast(tf.fingerprint(content[None])[0], tf.int64)
        is_whole = tf.equal(fingerprint, fingerprints[page])
        with tf.control_dependencies([_check.must_hold(is_whole, message, *where)]):
            return tf.identity(page)

    def runs_of(page: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.range(splits[page], splits[page + 1])

    def read_run(run: tf.Tensor) -> tf.data.Dataset:
        return _records_from(run_path[run], offset[run], length[run])

    num_bytes = _join([[file.num_bytes] for file in files])
    sources = tf.data.Dataset.from_tensor_slices(
        (paths, num_bytes, first_page, first_page + num_pages)
    )
    pages = map_blocks(_interleave(sources, read_pages, cycle_length), verify)
    runs = pages.flat_map(tf.autograph.experimental.do_not_convert(runs_of))
    return _interleave(runs, read_run, cycle_length)


def _join(parts: Sequence[npt.ArrayLike]) -> tf.Tensor:
    return tf.constant(np.concatenate([np.zeros(0, np.int64), *parts]), tf.int64)


def _fixed_length(path: tf.Tensor, header_bytes: Any, record_bytes: Any, footer_bytes: Any) -> Any:
    variant = tf.raw_ops.FixedLengthRecordDatasetV2(
        filenames=path,
        header_bytes=tf.cast(header_bytes, tf.int64),
        record_bytes=tf.cast(record_bytes, tf.int64),
        footer_bytes=tf.cast(footer_bytes, tf.int64),
        buffer_size=tf.constant(BUFFER_BYTES, tf.int64),
        compression_type="",
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))


def _records_from(path: tf.Tensor, offset: tf.Tensor, number: tf.Tensor) -> tf.data.Dataset:
    """Return `number` records as one element; `tf.data.TFRecordDataset` knows no offsets."""
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=path[None],
        compression_type="",
        buffer_size=tf.constant(BUFFER_BYTES, tf.int64),
        byte_offsets=offset[None],
    )
    records = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
    exactly = tf.data.experimental.assert_cardinality(number)
    return records.take(number).apply(exactly).batch(number)


def _interleave(dataset: tf.data.Dataset, read: Any, cycle_length: int) -> tf.data.Dataset:
    return dataset.interleave(
        tf.autograph.experimental.do_not_convert(read),
        cycle_length=cycle_length,
        num_parallel_calls=tf.data.AUTOTUNE,
    )
