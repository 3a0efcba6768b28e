"""Blocks of rows -> files of records, which take the rows in turn."""

import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from maskdata._progress import progress
from maskdata.data._blocks import map_blocks, num_rows
from maskdata.data._types import Element, Spec
from maskdata.data.tfrecord._example_codec import encode
from maskdata.data.tfrecord._record_index import FileIndex, index_file
from maskdata.data.tfrecord.manifest import ragged_names

Ints = npt.NDArray[np.int32]

PAGE_BYTES = 2**20
"""How many bytes of a file have one fingerprint."""


def open_axes(spec: Spec) -> Spec:
    """Return the spec of blocks whose rows may have any lengths, whatever these blocks have."""

    def opened(found: Any) -> Any:
        if not isinstance(found, tf.RaggedTensorSpec):
            return found
        num_open = found.ragged_rank + 1
        shape = tf.TensorShape([None] * num_open).concatenate(found.shape[num_open:])
        return tf.RaggedTensorSpec(shape, found.dtype, found.ragged_rank, found.row_splits_dtype)

    return {name: opened(found) for name, found in spec.items()}


def write(
    who: str, dataset: tf.data.Dataset, paths: Sequence[Path]
) -> tuple[list[FileIndex], Ints]:
    """Write the rows to files, in turn; return the index of each, and the row lengths [F, N]."""
    names = ragged_names(dataset.element_spec)
    same_rows = f"{who}: all features must have the same number of rows. Check what made the block."

    def encode_block(block: Element) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        counts = tf.stack([num_rows(feature) for feature in block.values()])
        with tf.control_dependencies([tf.debugging.assert_equal(counts, counts[0], same_rows)]):
            block = {name: tf.identity(feature) for name, feature in block.items()}
        records = encode(block)
        lengths = [tf.cast(block[name].row_lengths(), tf.int32) for name in names]
        lengths = tf.stack(lengths) if names else tf.zeros([0, tf.size(records)], tf.int32)
        return records, tf.strings.length(records), lengths

    encoded = map_blocks(dataset, encode_block).prefetch(1)
    all_sizes, all_lengths = [np.zeros(0, np.int32)], [np.zeros([len(names), 0], np.int32)]
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(tf.io.TFRecordWriter(str(path))) for path in paths]
        turns = itertools.cycle(writers)
        for records, sizes, lengths in progress(encoded, "Writing rows, in blocks"):
            for record, writer in zip(records.numpy(), turns, strict=False):
                writer.write(record)
            all_sizes.append(sizes.numpy())
            all_lengths.append(lengths.numpy())
        for writer in writers:
            writer.flush()
    sizes = np.concatenate(all_sizes)
    files = progress(list(enumerate(paths)), "Reading back what was written, in files")
    index = [index_file(path, sizes[i :: len(paths)], PAGE_BYTES) for i, path in files]
    return index, np.concatenate(all_lengths, axis=1)
