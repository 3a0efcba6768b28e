"""The shared vocabulary of the laws: rows of every kind, cut into blocks in every way."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import maskdata as md
from tests.passes import Passes

Element = dict[str, Any]

MAX_ROWS, MAX_STEPS = 12, 7

ids = st.integers(0, 2**40)
"""Ids; 0 is one like others."""

words = st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from(
    ["", "ß", "日本", "\n", "\\"]
)

row_lengths = st.lists(st.integers(0, MAX_STEPS), max_size=MAX_ROWS)
"""How long each row is: no rows, empty rows and single rows are likely."""


def _floats(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(
        np.float32, shape, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    )


@st.composite
def features(
    draw: st.DrawFn, lengths: Sequence[int], kind: str, splits_dtype: tf.DType = tf.int64
) -> Any:
    """Draw one feature with these row lengths."""
    rows, steps = len(lengths), sum(lengths)

    def ragged(values: Any) -> tf.RaggedTensor:
        return tf.RaggedTensor.from_row_lengths(
            values, tf.constant(lengths, splits_dtype, shape=[rows])
        )

    match kind:
        case "ids":
            return ragged(
                tf.constant(draw(st.lists(ids, min_size=steps, max_size=steps)), tf.int64)
            )
        case "zeros":
            return ragged(tf.zeros([steps], tf.int32))
        case "words":
            drawn = draw(st.lists(words, min_size=steps, max_size=steps))
            return ragged(tf.constant(drawn, tf.string))
        case "columns":
            return ragged(tf.constant(draw(_floats((steps, 3)))))
        case "nested":
            inner = draw(st.lists(st.integers(0, 3), min_size=steps, max_size=steps))
            values = tf.range(sum(inner), dtype=tf.int64)
            return ragged(
                tf.RaggedTensor.from_row_lengths(
                    values, tf.constant(inner, splits_dtype, shape=[steps])
                )
            )
        case "flag":
            return tf.constant(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), tf.bool)
        case "label":
            return tf.constant(draw(st.lists(words, min_size=rows, max_size=rows)), tf.string)
        case "vector":
            return tf.constant(draw(_floats((rows, 2))))
    raise ValueError(kind)


KINDS = ("zeros", "words", "columns", "nested", "flag", "label", "vector")


@st.composite
def elements(draw: st.DrawFn, *, kinds: Sequence[str] | None = None) -> Element:
    """Draw rows: a ragged feature `ids`, the row's number, and these or some other kinds of features."""
    lengths = draw(row_lengths)
    some = st.lists(st.sampled_from(KINDS), unique=True, max_size=len(KINDS))
    drawn = draw(some) if kinds is None else kinds
    element = {"ids": draw(features(lengths, "ids")), "number": tf.range(len(lengths))}
    splits = tf.int64 if kinds is not None else draw(st.sampled_from([tf.int64, tf.int32]))
    return element | {kind: draw(features(lengths, kind, splits)) for kind in drawn}


def cuts(num_rows: int) -> st.SearchStrategy[list[int]]:
    """Draw where to cut this many rows into blocks; blocks may be empty."""
    return st.lists(st.integers(0, num_rows), max_size=5).map(
        lambda inner: [0, *sorted(inner), num_rows]
    )


def count_rows(element: Element) -> int:
    return int(element["number"].shape[0])


def _some_rows(rows: Any, start: int, end: int) -> Any:
    """Return `rows[start:end]`, which takes 9 ms where rows are ragged, in a moment."""
    if not isinstance(rows, tf.RaggedTensor):
        return rows[start:end]
    splits = rows.row_splits.numpy()[start : end + 1]
    values = _some_rows(rows.values, splits[0], splits[-1])
    return tf.RaggedTensor.from_row_splits(values, splits - splits[0], validate=False)


def cut(element: Element, bounds: Sequence[int]) -> list[Element]:
    """Return the rows as blocks, cut at `bounds`."""
    return [
        {name: _some_rows(rows, start, end) for name, rows in element.items()}
        for start, end in itertools.pairwise(bounds)
    ]


def in_blocks(element: Element, bounds: Sequence[int]) -> tf.data.Dataset:
    """Return the rows as a dataset of blocks, cut at `bounds`."""
    edges = tf.constant(bounds, tf.int64)
    return tf.data.Dataset.range(len(bounds) - 1).map(
        lambda i: {name: rows[edges[i] : edges[i + 1]] for name, rows in element.items()}
    )


@st.composite
def blocks(
    draw: st.DrawFn, *, kinds: Sequence[str] | None = None
) -> tuple[Element, tf.data.Dataset]:
    """Draw rows, and a dataset of them in blocks."""
    element = draw(elements(kinds=kinds))
    return element, in_blocks(element, draw(cuts(count_rows(element))))


def _as_lists(rows: Any) -> list[Any]:
    """Return `rows.to_list()`, which takes 14 ms for rows of rows, in a moment."""
    if not isinstance(rows, tf.RaggedTensor):
        return rows.numpy().tolist()
    values, splits = _as_lists(rows.values), rows.row_splits.numpy().tolist()
    return [values[start:end] for start, end in itertools.pairwise(splits)]


def as_rows(element: Element) -> list[dict[str, Any]]:
    """Return the rows of an element as plain Python values, to compare and to count."""
    columns = {name: _as_lists(rows) for name, rows in element.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def as_batches(dataset: tf.data.Dataset) -> list[list[dict[str, Any]]]:
    """Return a dataset as plain Python values: batches of rows of features."""
    return [as_rows(element) for element in dataset]


def all_rows(dataset: tf.data.Dataset) -> list[dict[str, Any]]:
    return [row for batch in as_batches(dataset) for row in batch]


VOCABULARY = md.Vocabulary(["", "a", "ß", "日本", "\n"])

TRANSFORMS: dict[str, Any] = {
    "Tokenize": md.Tokenize("label", into="pieces"),
    "Lookup": md.Lookup(["words", "label"], VOCABULARY),
    "Truncate": md.Truncate({"ids": 3, "words": 2}, side="left"),
    "Shuffle": md.Shuffle(3, seed=7, reshuffle_each_iteration=False),
    "RaggedBatch": md.RaggedBatch(3),
    "BucketBySequenceLength": md.BucketBySequenceLength("ids", [2, 5], [3, 2, 2]),
    "PaddedBatch": md.PaddedBatch(2, side="left"),
    "FillRows": md.Chain(md.RaggedBatch(3), md.ToDense(), md.FillRows(1)),
    "Chain": md.Chain(
        md.Shuffle(4, seed=3, reshuffle_each_iteration=False), md.RaggedBatch(4), md.ToDense()
    ),
}
"""One of each transform of blocks that can stand before `ToKeras`, for rows with ALL_KINDS."""

ALL_KINDS = ("words", "columns", "nested", "label", "flag")


_LENGTHS = [1, 2, 0, 1, 1]
_IDS = tf.RaggedTensor.from_row_lengths(tf.range(5, dtype=tf.int64), _LENGTHS)
FIVE_ROWS = {
    "ids": _IDS,
    "number": tf.range(5),
    "words": tf.strings.as_string(_IDS),
    "columns": tf.RaggedTensor.from_row_lengths(tf.ones([5, 3]), _LENGTHS),
    "nested": tf.RaggedTensor.from_row_lengths(_IDS, _LENGTHS),
    "label": tf.constant(list("abcde")),
    "flag": tf.constant([True] * 5),
}
"""Five rows with ALL_KINDS, for the faults that the laws must catch."""


class Feed:
    """A pipeline that is built once and then read with many data: tracing takes most of a test."""

    _passes: Passes | None = None

    def __init__(self, transform: Any) -> None:
        ragged = functools.partial(tf.RaggedTensorSpec, ragged_rank=1)
        self.blocks: list[Element] = []
        source = tf.data.Dataset.from_generator(
            lambda: iter(self.blocks),
            output_signature={
                "ids": ragged([None, None], tf.int64),
                "number": tf.TensorSpec([None], tf.int32),
                "words": ragged([None, None], tf.string),
                "columns": ragged([None, None, 3], tf.float32),
                "nested": tf.RaggedTensorSpec([None, None, None], tf.int64, 2),
                "label": tf.TensorSpec([None], tf.string),
                "flag": tf.TensorSpec([None], tf.bool),
            },
        )
        self.dataset = transform(source)

    def read(self, blocks: list[Element]) -> list[Element]:
        self.blocks = blocks
        self._passes = self._passes or Passes(self.dataset)
        return self._passes.read()


@functools.cache
def feed(name: str) -> Feed:
    """Return the transform of this name, built once in a process."""
    return Feed(TRANSFORMS[name])


all_kinds = elements(kinds=ALL_KINDS)


@st.composite
def buckets(draw: st.DrawFn) -> dict[str, Any]:
    """Draw arguments of BucketBySequenceLength; boundaries meet lengths exactly."""
    boundaries = sorted(draw(st.sets(st.integers(1, MAX_STEPS + 1), max_size=3)))
    sizes = draw(
        st.lists(st.integers(1, 4), min_size=len(boundaries) + 1, max_size=len(boundaries) + 1)
    )
    return {
        "bucket_boundaries": boundaries,
        "bucket_batch_sizes": sizes,
        "drop_remainder": draw(st.booleans()),
    }
