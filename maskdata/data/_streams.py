"""Elements -> the same elements, labelled by the worker that makes them, so that losses show.

One pass of a worker over its part of the data is a stream. It has a random number of its own, opens
with a mark, numbers its elements and closes with a mark: whoever reads it can tell whether all of it
arrived, or whether its worker died on the way (`_heard`).
"""

from typing import Any

import tensorflow as tf

from maskdata.data._passes import numbers_of_this_pass

ELEMENT, OPEN, CLOSE, TICK, END = range(5)
"""The kinds of labels: on elements, on the marks of a stream, on ticks of a clock, after all streams."""


def label_stream(dataset: tf.data.Dataset, *, has_end: bool) -> tf.data.Dataset:
    """Return pairs of an element and its label: stream, position and kind, int64 [3]."""
    spec = dataset.element_spec

    def with_kind(*element: Any) -> Any:
        return (element if isinstance(spec, tuple) else element[0]), tf.constant(ELEMENT, tf.int64)

    labelled = dataset.map(_in_graph(with_kind))
    if has_end:
        labelled = _mark(spec, OPEN).concatenate(labelled).concatenate(_mark(spec, CLOSE))

    def label(state: Any, element_and_number: Any) -> Any:
        stream, position = state
        (element, kind), number = element_and_number
        stream = tf.where(position == 0, number, stream)
        return (stream, position + 1), (element, tf.stack([stream, position, kind]))

    start = tf.zeros([], tf.int64), tf.zeros([], tf.int64)
    return tf.data.Dataset.zip((labelled, numbers_of_this_pass(0, 0))).scan(start, _in_graph(label))


def nothing_of(spec: Any) -> Any:
    """Return an element of this spec, all axes as short as they may be.

    >>> nothing_of({"n": tf.TensorSpec([None, 2]), "r": tf.RaggedTensorSpec([3, None], tf.int64)})["r"]
    <tf.RaggedTensor [[], [], []]>
    """
    return tf.nest.map_structure(_nothing_of, spec)


def _nothing_of(spec: Any) -> Any:
    shape = [] if spec.shape.rank is None else [size or 0 for size in spec.shape]
    if not isinstance(spec, tf.RaggedTensorSpec):
        return tf.zeros(shape, spec.dtype)
    values = tf.zeros([0, *shape[spec.ragged_rank + 1 :]], spec.dtype)
    for num_rows in [0] * (spec.ragged_rank - 1) + shape[:1]:
        splits = tf.zeros([num_rows + 1], spec.row_splits_dtype)
        values = tf.RaggedTensor.from_row_splits(values, splits, validate=False)
    return values


def _mark(spec: Any, kind: int) -> tf.data.Dataset:
    """Return one element for each worker: all of them take one from an endless source."""

    def mark(_: tf.Tensor) -> Any:
        return nothing_of(spec), tf.constant(kind, tf.int64)

    return tf.data.Dataset.range(2**62).take(1).map(_in_graph(mark))


_in_graph = tf.autograph.experimental.do_not_convert
