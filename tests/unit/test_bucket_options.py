"""BucketBySequenceLength with a budget of tokens, and with leftovers mixed among full batches."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import maskdata as md
from tests.strategies import Element, Feed, all_kinds, as_rows, count_rows, cut, cuts


def numbers(dataset: tf.data.Dataset) -> list[list[int]]:
    return [batch["number"].numpy().tolist() for batch in dataset]


def lengths_of(dataset: tf.data.Dataset) -> list[list[int]]:
    return [batch["ids"].row_lengths().numpy().tolist() for batch in dataset]


BOUNDS = [2, 5, 7]


def check_budget(batches: list[Element], max_tokens: int) -> None:
    sizes: dict[int, list[int]] = {}
    for batch in batches:
        lengths = batch["ids"].row_lengths().numpy()
        assert len(lengths) * max(lengths) <= max_tokens
        sizes.setdefault(int(np.searchsorted(BOUNDS, max(lengths), "right")), []).append(
            len(lengths)
        )
    for bucket, of_bucket in sizes.items():
        full = max_tokens // (BOUNDS[bucket] - 1) if bucket < len(BOUNDS) else 1
        assert set(of_bucket[:-1]) <= {full}


@pytest.mark.parametrize("max_tokens", [7, 15])
def test_no_batch_exceeds_the_budget_and_one_more_row_would(max_tokens: int) -> None:
    pipeline = Feed(md.BucketBySequenceLength("ids", BOUNDS, max_tokens=max_tokens))

    @given(st.data())
    def check(data: st.DataObject) -> None:
        element = data.draw(all_kinds)
        batches = pipeline.read(cut(element, data.draw(cuts(count_rows(element)))))
        check_budget(batches, max_tokens)
        numbers = [number for batch in batches for number in batch["number"].numpy()]
        assert sorted(numbers) == list(range(count_rows(element)))

    check()


def test_the_budget_law_catches_sizes_that_are_too_large_or_too_small() -> None:
    rows = md.from_rows({"ids": [[1] * 4] * 6})
    for size in (1, 3):
        batches = rows.apply(md.BucketBySequenceLength("ids", BOUNDS, [size] * 4))
        with pytest.raises(AssertionError):
            check_budget(list(batches), 9)
    check_budget(list(rows.apply(md.BucketBySequenceLength("ids", BOUNDS, max_tokens=9))), 9)


def test_mixed_leftovers_are_the_same_batches() -> None:
    last, mixed = (
        Feed(md.BucketBySequenceLength("ids", [2, 5], [3, 2, 2], leftovers=leftovers))
        for leftovers in ("last", "mixed")
    )
    assert mixed.dataset.element_spec == last.dataset.element_spec

    @settings(max_examples=8)
    @given(all_kinds)
    def check(element: Element) -> None:
        batches = [[as_rows(batch) for batch in feed.read([element])] for feed in (last, mixed)]
        assert sorted(map(repr, batches[0])) == sorted(map(repr, batches[1]))

    check()


BOUNDARIES, SIZES = [5, 9, 13, 17, 21, 25, 29], [50] * 8


def many_rows(block_size: int, num_rows: int = 6_025) -> tf.data.Dataset:
    lengths = np.random.default_rng(0).integers(1, 33, num_rows)
    ids = tf.RaggedTensor.from_row_lengths(tf.range(lengths.sum()), lengths)
    return md.from_rows({"ids": ids, "number": tf.range(num_rows)}, block_size=block_size)


def small_batches(dataset: tf.data.Dataset) -> tuple[list[int], list[int], int]:
    """Return where batches that are not full stand, their longest rows, and how many batches there are."""
    lengths = lengths_of(dataset)
    at = [n for n, rows in enumerate(lengths) if len(rows) < 50]
    return at, [max(lengths[n]) for n in at], len(lengths)


def test_leftovers_do_not_end_the_epoch_sorted_by_length() -> None:
    bucket = md.BucketBySequenceLength("ids", BOUNDARIES, SIZES)
    at, longest, num_batches = small_batches(many_rows(512).apply(bucket))
    assert at == list(range(num_batches - len(at), num_batches))
    assert longest == sorted(longest)
    assert len(at) > 4
    mixed = md.BucketBySequenceLength("ids", BOUNDARIES, SIZES, leftovers="mixed")
    at, longest, num_batches = small_batches(many_rows(512).apply(mixed))
    assert np.mean(at) < num_batches - 1.5 * len(at)
    assert longest != sorted(longest)


def test_mixed_leftovers_depend_neither_on_blocks_nor_on_the_global_seed() -> None:
    mixed = md.BucketBySequenceLength("ids", BOUNDARIES, SIZES, leftovers="mixed")
    orders = []
    for block_size, seed in ((100, 1), (4096, 2)):
        tf.random.set_seed(seed)
        dataset = many_rows(block_size).apply(mixed)
        orders += [numbers(dataset), numbers(dataset)]
    assert orders[0] == orders[1] == orders[2] == orders[3]


def test_a_bucket_can_be_changed_with_replace() -> None:
    bucket = md.BucketBySequenceLength("ids", [4], max_tokens=12)
    assert dataclasses.replace(bucket, max_tokens=24).max_tokens == 24
    with pytest.raises(ValueError, match="one of bucket_batch_sizes and max_tokens must be given"):
        dataclasses.replace(bucket, bucket_batch_sizes=[1, 2])
