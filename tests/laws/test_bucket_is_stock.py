"""Law 3: BucketBySequenceLength gives tf.data's batches, in tf.data's order, from any blocks."""

from typing import Any

import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

import maskdata as md
from maskdata.data import _windows
from tests.strategies import (
    Element,
    Feed,
    Passes,
    all_kinds,
    as_rows,
    blocks,
    buckets,
    count_rows,
    cut,
    cuts,
)


class Stock:
    """tf.data's own bucketing of row numbers, built once."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.lengths: list[int] = []
        rows = tf.data.Dataset.from_generator(
            lambda: enumerate(self.lengths),
            output_signature=(tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)),
        )
        batches = rows.bucket_by_sequence_length(lambda number, length: length, **arguments)
        self.passes = Passes(batches)

    def read(self, element: Element) -> list[list[int]]:
        self.lengths = element["ids"].row_lengths().numpy().tolist()
        return [numbers.numpy().tolist() for numbers, _ in self.passes.read()]


def check_against_stock(ours: list[Element], stock: Stock, element: Element) -> None:
    rows = as_rows(element)
    expected = [[rows[number] for number in batch] for batch in stock.read(element)]
    assert [as_rows(batch) for batch in ours] == expected


ARGUMENTS = [
    {"bucket_boundaries": [2, 5], "bucket_batch_sizes": [3, 2, 1]},
    {"bucket_boundaries": [2, 5], "bucket_batch_sizes": [1, 2, 3], "drop_remainder": True},
    {"bucket_boundaries": [1, 7], "bucket_batch_sizes": [2, 2, 2]},
    {"bucket_boundaries": [], "bucket_batch_sizes": [4]},
    {"bucket_boundaries": [3], "bucket_batch_sizes": [2, 2], "drop_remainder": True},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=repr)
def test_same_batches_in_the_same_order_whatever_the_features(arguments: dict[str, Any]) -> None:
    ours, stock = Feed(md.BucketBySequenceLength("ids", **arguments)), Stock(arguments)

    @given(st.data())
    def check(data: st.DataObject) -> None:
        element = data.draw(all_kinds)
        bounds = data.draw(cuts(count_rows(element)))
        check_against_stock(ours.read(cut(element, bounds)), stock, element)

    check()


@settings(max_examples=6)
@given(blocks(kinds=()), buckets())
def test_same_batches_in_the_same_order_whatever_the_buckets(
    drawn: tuple[Element, tf.data.Dataset], arguments: dict[str, Any]
) -> None:
    element, dataset = drawn
    ours = list(dataset.apply(md.BucketBySequenceLength("ids", **arguments)))
    check_against_stock(ours, Stock(arguments), element)


@pytest.mark.parametrize("splits", [tf.int32, tf.int64])
def test_row_splits_of_both_dtypes(splits: tf.DType) -> None:
    elements: list[Element] = []
    rows = tf.data.Dataset.from_generator(
        lambda: iter(elements),
        output_signature={
            "ids": tf.RaggedTensorSpec([None, None], tf.int32, 1, splits),
            "number": tf.TensorSpec([None], tf.int32),
        },
    )
    bucketed = rows.apply(md.BucketBySequenceLength("ids", [2], [2, 2]))
    assert bucketed.element_spec["ids"].row_splits_dtype == splits
    batches = Passes(bucketed)

    @given(lengths=st.lists(st.integers(0, 4), max_size=9))
    @example(lengths=[])
    def check(lengths: list[int]) -> None:
        row_lengths = tf.constant(lengths, splits, shape=[len(lengths)])
        ids = tf.RaggedTensor.from_row_lengths(tf.range(sum(lengths)), row_lengths)
        elements[:] = [{"ids": ids, "number": tf.range(len(lengths))}]
        read = batches.read()
        assert {batch["ids"].row_splits.dtype for batch in read} <= {splits}
        found = [number for batch in read for number in batch["number"].numpy()]
        assert sorted(found) == list(range(len(lengths)))

    check()


@pytest.mark.parametrize(
    "fault", ["drop a row", "wrong side of a boundary", "rows in order of arrival"]
)
def test_the_law_catches_a_broken_bucket(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, search = _windows.plan_windows, tf.searchsorted

    def broken(buckets: tf.Tensor, sizes: tf.Tensor, **options: Any) -> Any:
        order, window_sizes, keep = plan(buckets, sizes, **options)
        if fault == "drop a row":
            keep = keep[1:]
        if fault == "rows in order of arrival":
            order = tf.sort(order)
        return order, window_sizes, keep

    lengths = [3, 1, 2, 5, 2, 1, 4, 0]
    element = {
        "ids": tf.RaggedTensor.from_row_lengths(tf.range(sum(lengths)), lengths),
        "number": tf.range(len(lengths)),
    }
    arguments = {"bucket_boundaries": [2, 4], "bucket_batch_sizes": [2, 2, 2]}
    rows, bucket = (
        md.from_rows(element, block_size=5),
        md.BucketBySequenceLength("ids", **arguments),
    )
    check_against_stock(list(rows.apply(bucket)), Stock(arguments), element)
    if fault == "wrong side of a boundary":
        monkeypatch.setattr(tf, "searchsorted", lambda a, b, side: search(a, b, side="left"))
    else:
        monkeypatch.setattr(_windows, "plan_windows", broken)
    with pytest.raises(AssertionError):
        check_against_stock(list(rows.apply(bucket)), Stock(arguments), element)
