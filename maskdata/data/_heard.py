"""Labelled elements of several workers -> the elements, and an error if any did not arrive."""

from typing import Any, NamedTuple

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import num_rows
from maskdata.data._names import ROW_MASK, SEGMENT_MASK
from maskdata.data._streams import CLOSE, ELEMENT, END, TICK, nothing_of

TICK_S = 0.05
"""Seconds between two ticks of the clock. At the end of an epoch tf.data waits for a few of them."""

MISSED_ROUNDS = 8
"""Coordinated readers hear all workers in turn: one that misses so many turns is gone."""


class Heard(NamedTuple):
    """What was heard so far, of W streams."""

    stream: tf.Tensor
    """The number of each stream, int64 [W]."""
    position: tf.Tensor
    """The position of what was heard of it last, int64 [W]."""
    turn: tf.Tensor
    """How many elements of any stream had come by then, int64 [W]."""
    is_open: tf.Tensor
    """Whether its closing mark is still to come, bool [W]."""
    elements: tf.Tensor
    rows: tf.Tensor
    ticks: tf.Tensor
    """How often the clock ticked since the last element or mark."""


class Wanted(NamedTuple):
    """What must be heard.

    Attributes:
        who: Whom an error names.
        timeout_s: How long nobody may be heard.
        num_rows: How many rows must arrive; None if that is not known.
        every: The elements of each stream that come here: all, or one in so many.
        is_shared: Whether others read from the same streams whatever they get.
    """

    who: str
    timeout_s: float
    num_rows: int | None
    every: int
    is_shared: bool


def check_streams(dataset: tf.data.Dataset, wanted: Wanted) -> tf.data.Dataset:
    """Return the elements of a dataset of pairs of an element and its label."""
    spec, _ = dataset.element_spec

    def mark(kind: int) -> Any:
        return nothing_of(spec), tf.constant([0, 0, kind], tf.int64)

    with_end = dataset.concatenate(tf.data.Dataset.from_tensors(mark(END)))
    ticks = tf.data.Dataset.from_tensors(mark(TICK)).repeat()
    with_ticks = _whichever_comes_first(with_end, _every(TICK_S, ticks))

    def hear(heard: tuple[tf.Tensor, ...], element_and_label: Any) -> Any:
        element, label = element_and_label
        now = listen(Heard(*heard), element, label)
        with tf.control_dependencies([_all_well(Heard(*heard), now, label, wanted)]):
            return tuple(now), (element, tf.identity(label))

    zero, none = tf.zeros([], tf.int64), tf.zeros([0], tf.int64)
    nothing = tuple(Heard(none, none, none, tf.zeros([0], tf.bool), zero, zero, zero))
    heard = with_ticks.scan(nothing, _in_graph(hear))
    until_end = heard.take_while(_in_graph(lambda element, label: label[2] != END))
    elements = until_end.filter(_in_graph(lambda element, label: label[2] == ELEMENT))
    return elements.map(_in_graph(lambda element, label: element))


def listen(heard: Heard, element: Any, label: tf.Tensor) -> Heard:
    """Return what was heard, together with one more element, mark or tick."""
    stream, position, kind = tf.unstack(label)
    is_from_worker = kind <= CLOSE
    is_new = is_from_worker & ~tf.reduce_any(tf.equal(heard.stream, stream))

    def with_new(values: tf.Tensor, value: Any) -> tf.Tensor:
        new = tf.fill([tf.cast(is_new, tf.int32)], tf.cast(value, values.dtype))
        return tf.concat([values, new], axis=0)

    streams = with_new(heard.stream, stream)
    here = is_from_worker & tf.equal(streams, stream)
    is_element = kind == ELEMENT
    elements = heard.elements + tf.cast(is_element, tf.int64)
    return Heard(
        stream=streams,
        position=tf.where(here, position, with_new(heard.position, 0)),
        turn=tf.where(here, elements, with_new(heard.turn, 0)),
        is_open=tf.where(here, kind != CLOSE, with_new(heard.is_open, True)),  # noqa: FBT003
        elements=elements,
        rows=heard.rows + tf.where(is_element, count_rows(element), 0),
        ticks=tf.where(kind == TICK, heard.ticks + 1, 0),
    )


def count_rows(element: Any) -> tf.Tensor:
    """Return how many rows of the data an element has, int64: not the fillers, all that are packed.

    >>> int(count_rows({"n": tf.range(3), "row_mask": tf.constant([True, True, False])}))
    2
    """
    for mask in (SEGMENT_MASK, ROW_MASK):
        if isinstance(element, dict) and mask in element:
            return tf.math.count_nonzero(element[mask])
    has_rows = tf.nest.flatten(element)[0].shape.rank != 0
    return num_rows(element) if has_rows else tf.ones([], tf.int64)


def _all_well(before: Heard, now: Heard, label: tf.Tensor, wanted: Wanted) -> tf.Operation:
    """Return an operation that fails if something did not arrive, and says what."""
    stream, position, kind = tf.unstack(label)
    is_end = kind == END
    num_open = tf.math.count_nonzero(now.is_open)
    # What is wrong, how that is said, and the number that belongs to it; the first counts.
    problems: list[tuple[Any, str, Any]] = [
        (now.ticks > int(wanted.timeout_s / TICK_S), SILENCE, now.elements),
        (is_end & (tf.size(now.stream) == 0), NOBODY, 0),
    ]
    if not wanted.is_shared:
        is_here = tf.equal(before.stream, stream)
        last = tf.reduce_sum(tf.where(is_here, before.position, 0))
        at_first = position % wanted.every
        expected = tf.where(tf.reduce_any(is_here), last + wanted.every, at_first)
        problems.append(((kind <= CLOSE) & (position != expected), GAP, position - expected))
        problems.append((is_end & (num_open > 0), DIED, num_open))
    if wanted.num_rows is not None:
        problems.append((is_end & (now.rows != wanted.num_rows), MISCOUNT, now.rows))
    if wanted.every > 1:
        missed = now.elements - tf.reduce_min(tf.concat([now.turn, now.elements[None]], axis=0))
        allowed = MISSED_ROUNDS * tf.size(now.stream, tf.int64)
        problems.append((missed > allowed, LEFT, missed))
    is_wrong, messages, numbers = zip(*problems, strict=True)
    is_wrong = tf.stack(is_wrong)
    which = tf.argmax(is_wrong)
    said = tf.constant([f"{wanted.who}: {text.format(**wanted._asdict())}" for text in messages])
    number = tf.stack([tf.cast(each, tf.int64) for each in numbers])[which]
    return _check.must_hold(~tf.reduce_any(is_wrong), said[which], number)


SILENCE = "workers must send something within timeout_s={timeout_s} seconds, but none did: one of them or the dispatcher is dead, or they need longer for an element. See to it and read this epoch again, or raise timeout_s. Elements that had come:"
NOBODY = "workers must send something, but this job had been read to its end by someone else. Give each run another job_name. Elements that came:"
GAP = "all elements that a worker sends must arrive, but some are missing. Read this epoch again. Missing:"
DIED = "all rows must arrive, but some are missing: workers died or were restarted before they had sent all of theirs. Read this epoch again. So many workers:"
MISCOUNT = "as many rows must arrive as num_rows={num_rows}. If that is right, a worker died or was restarted: read this epoch again. There came"
LEFT = "all workers must stay, but one died or was restarted, and its rows are missing. Begin again from a checkpoint. Elements since it was heard:"


def _every(seconds: float, dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return the elements of a dataset, each after so many seconds."""
    specs = tf.nest.flatten(dataset.element_spec)
    is_ragged = [isinstance(spec, tf.RaggedTensorSpec) for spec in specs]
    slow = tf.raw_ops.SleepDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        sleep_microseconds=max(1, int(seconds * 1e6)),
        output_types=[tf.variant if r else s.dtype for s, r in zip(specs, is_ragged, strict=True)],
        output_shapes=[
            tf.TensorShape(None) if r else s.shape for s, r in zip(specs, is_ragged, strict=True)
        ],
    )
    return tf.data.experimental.from_variant(slow, dataset.element_spec)


def _whichever_comes_first(first: tf.data.Dataset, second: tf.data.Dataset) -> tf.data.Dataset:
    """Return the elements of both, each as soon as it is there."""
    variants = tf.stack([tf.data.experimental.to_variant(each) for each in (first, second)])
    spec = first.element_spec
    return tf.data.Dataset.range(2).interleave(
        _in_graph(lambda which: tf.data.experimental.from_variant(variants[which], spec)),
        cycle_length=2,
        num_parallel_calls=2,
        deterministic=False,
    )


_in_graph = tf.autograph.experimental.do_not_convert
