"""Blocks of rows -> blocks of rows: counting, choosing, joining and carrying rows, vectorised."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._references import join_references, pack_rows

Rows = Any
"""Any nest of tensors and ragged tensors that share their first axis, the rows."""


def num_rows(rows: Rows) -> tf.Tensor:
    """Return how many rows there are, int64."""
    first = tf.nest.flatten(rows, expand_composites=False)[0]
    return (
        first.nrows(tf.int64)
        if isinstance(first, tf.RaggedTensor)
        else tf.shape(first, tf.int64)[0]
    )


def largest(numbers: tf.Tensor, or_else: int) -> tf.Tensor:
    """Return the largest of the numbers and `or_else`, which is what there is without numbers.

    >>> [int(largest(tf.constant(numbers, tf.int64), or_else=-1)) for numbers in ([3, 5], [])]
    [5, -1]
    """
    return tf.maximum(tf.reduce_max(numbers), or_else)


def take_rows(rows: Rows, indices: tf.Tensor) -> Rows:
    """Return the rows at `indices`, in that order."""
    return tf.nest.map_structure(lambda feature: tf.gather(feature, indices), rows)


def slice_rows(feature: Any, start: tf.Tensor, limit: tf.Tensor) -> Any:
    """Return the rows of a feature from `start` on, up to `limit` or the end.

    `feature[start:limit]` of a ragged tensor copies the row splits of all rows (TensorFlow 2.21).

    >>> rows = tf.ragged.constant([[1], [2, 3], [], [4]])
    >>> slice_rows(rows, 1, 3).to_list(), slice_rows(rows, 3, 9).to_list()
    ([[2, 3], []], [[4]])
    """
    if not isinstance(feature, tf.RaggedTensor):
        return feature[start:limit]
    if (length := feature.uniform_row_length) is not None:
        start, limit = tf.cast(start, length.dtype), tf.cast(limit, length.dtype)
        values = slice_rows(feature.values, start * length, limit * length)
        nrows = tf.minimum(limit, feature.nrows()) - start
        return tf.RaggedTensor.from_uniform_row_length(values, length, nrows)
    row_splits = feature.row_splits[start : limit + 1]
    values = slice_rows(feature.values, row_splits[0], row_splits[-1])
    return tf.RaggedTensor.from_row_splits(values, row_splits - row_splits[0], validate=False)


def join_rows(first: Rows, second: Rows) -> Rows:
    """Return the rows of `first`, then those of `second`."""
    return tf.nest.map_structure(_join_features, first, second)


def _join_features(first: Any, second: Any) -> Any:
    if first.dtype == tf.variant:
        return join_references(first, second)
    return tf.concat([first, second], axis=0)


def any_number_of_rows(spec: Any) -> Any:
    """Return `spec` with the number of rows left open."""
    return tf.nest.map_structure(_open_first_axis, spec)


def _open_first_axis(spec: Any) -> Any:
    shape = tf.TensorShape([None]).concatenate(spec.shape[1:])
    if isinstance(spec, tf.RaggedTensorSpec):
        return tf.RaggedTensorSpec(shape, spec.dtype, spec.ragged_rank, spec.row_splits_dtype)
    return tf.TensorSpec(shape, spec.dtype)


def no_rows(spec: Any) -> Rows:
    """Return zero rows of this spec, whose inner dimensions must be known."""
    return tf.nest.map_structure(_no_rows_of, spec)


def _no_rows_of(spec: Any) -> Any:
    if not isinstance(spec, tf.RaggedTensorSpec):
        return tf.zeros([0, *spec.shape[1:]], spec.dtype)
    rows = tf.zeros([0, *spec.shape[spec.ragged_rank + 1 :]], spec.dtype)
    for _ in range(spec.ragged_rank):
        rows = tf.RaggedTensor.from_row_splits(
            rows, tf.zeros([1], spec.row_splits_dtype), validate=False
        )
    return rows


def map_blocks(dataset: tf.data.Dataset, function: Callable[..., Any]) -> tf.data.Dataset:
    """Map `function` over elements in parallel, in order, without AutoGraph: ours needs none."""
    return dataset.map(
        tf.autograph.experimental.do_not_convert(function), num_parallel_calls=tf.data.AUTOTUNE
    )


Step = Callable[[Rows, tf.Tensor], tuple[Any, tf.Tensor]]
"""(rows at hand, is this the end of the input?) -> (what to emit, indices of the rows to keep)."""


def carry_rows(dataset: tf.data.Dataset, step: Step, who: str) -> tf.data.Dataset:
    """Scan over blocks, carrying the rows that `step` keeps over to the next block.

    The rows at hand are the kept ones, then those of the new block, heavy features packed
    (`_references`). After the last block `step` is called once more, with no new rows and the flag set.
    The next block is worked on while what was emitted is read: most steps run on one core.
    """
    blocks = _with_end_flag(dataset)
    spec = any_number_of_rows(blocks.element_spec[0])

    def advance(state: list[tf.Tensor], block_and_flag: tuple[Rows, tf.Tensor]) -> Any:
        block, is_end = block_and_flag
        kept = tf.nest.pack_sequence_as(spec, list(state), expand_composites=True)
        with tf.control_dependencies([_same_number_of_rows(block, who)]):
            rows = join_rows(kept, block)
        emitted, keep = step(rows, is_end)
        return _flat(take_rows(rows, keep)), emitted

    advance_in_graph = tf.autograph.experimental.do_not_convert(advance)
    nothing = pack_rows(no_rows(dataset.element_spec), dataset.element_spec)
    return blocks.scan(_flat(nothing), advance_in_graph).prefetch(1)


def _same_number_of_rows(block: Rows, who: str) -> tf.Operation | None:
    counts = tf.stack([num_rows(feature) for feature in tf.nest.flatten(block)])
    message = f"{who}: all features must have the same number of rows, got "
    remedy = ". Check what made the block."
    return _check.must_hold(tf.reduce_all(counts == counts[0]), message, counts, remedy)


def _flat(rows: Rows) -> tuple[tf.Tensor, ...]:
    """Return the component tensors: the state of `scan` cannot be ragged (TensorFlow 2.21)."""
    return tuple(tf.nest.flatten(rows, expand_composites=True))


def _with_end_flag(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Pack each block and pair it with False, and end with no rows and True.

    The end comes from an endless source: the tf.data service would give a source of one element
    to one worker only, and the rows that the others still carry would be lost in silence.
    """
    spec = any_number_of_rows(dataset.element_spec)
    blocks = map_blocks(dataset, lambda block: (pack_rows(block, spec), False))
    end = map_blocks(
        tf.data.Dataset.range(2**62).take(1), lambda _: (pack_rows(no_rows(spec), spec), True)
    )
    return blocks.concatenate(end)
