"""Arrow tables -> blocks of rows: lists become ragged, whole columns at a time."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from maskdata.data._types import Element, Spec
from maskdata.data.arrow._types import is_list, is_text, is_vector


def read_tables(
    tables: Callable[[], Iterable[Any]], spec: Spec, block_size: int, num_rows: int | None = None
) -> tf.data.Dataset:
    """Return a dataset of the rows of tables.

    Args:
        tables: Called for each pass; what it yields are tables without nulls.
        spec: The features of a block.
        block_size: Rows in a block; the last one may have fewer.
        num_rows: How many rows there are in all, if that is known.
    """
    dataset = tf.data.Dataset.from_generator(
        lambda: _blocks(tables(), spec, block_size), output_signature=spec
    )
    if num_rows is None:
        return dataset
    num_blocks = -(-num_rows // block_size)
    return dataset.apply(tf.data.experimental.assert_cardinality(num_blocks))


def _blocks(tables: Iterable[Any], spec: Spec, block_size: int) -> Iterator[Element]:
    held: list[Any] = []
    num_held = 0
    for table in tables:
        held.append(table)
        num_held += table.num_rows
        while num_held >= block_size:
            joined = pa.concat_tables(held)
            yield _to_block(joined.slice(0, block_size), spec)
            held, num_held = [joined.slice(block_size)], num_held - block_size
    if num_held:
        yield _to_block(pa.concat_tables(held), spec)


def _to_block(table: Any, spec: Spec) -> Element:
    return {name: to_feature(table.column(name).combine_chunks()) for name in spec}


def to_feature(array: Any) -> tf.Tensor | tf.RaggedTensor:
    """Return an array without nulls as a feature with memory of its own: a mapped file can be closed."""
    kind = array.type
    if is_list(kind):
        splits = np.asarray(array.offsets, np.int64)
        return tf.RaggedTensor.from_row_splits(
            to_feature(array.flatten()), tf.constant(splits - splits[0]), validate=False
        )
    if is_vector(kind):
        values = to_feature(array.flatten())
        return tf.reshape(values, [len(array), kind.list_size, *values.shape[1:]])
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
    if is_text(array.type):  # TensorFlow takes a list of bytes faster than an array of them
        values = array.cast(pa.large_binary()).to_numpy(zero_copy_only=False).tolist()
        return tf.constant(values, tf.string, [len(array)])
    return tf.constant(array.to_numpy(zero_copy_only=False))
