"""The order of a BatchPlan's epoch: each row once, anywhere, and no stretch of long or small batches."""

import functools
import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import maskdata as md
from maskdata.data._epoch_order import EpochOrder

Batches = list[list[int]]


def read(order: EpochOrder, epoch: int) -> Batches:
    rows, starts, limits = (part.numpy() for part in order(tf.constant(epoch, tf.int64)))
    return [rows[start:limit].tolist() for start, limit in zip(starts, limits, strict=True)]


def check_order(order: EpochOrder, buckets: list[int], sizes: list[int], *, drop: bool) -> None:
    epochs = [read(order, epoch) for epoch in range(3)]
    counts = Counter(buckets)
    for batches in epochs:
        assert len(batches) == order.num_batches
        rows = [row for batch in batches for row in batch]
        assert len(set(rows)) == len(rows) == len(buckets) - order.rows_left_out
        for bucket, size in enumerate(sizes):
            of_bucket = [batch for batch in batches if buckets[batch[0]] == bucket]
            assert all(buckets[row] == bucket for batch in of_bucket for row in batch)
            full, left = divmod(counts[bucket], size)
            expected = [size] * full + [left] * (left > 0 and not drop)
            assert sorted(map(len, of_bucket), reverse=True) == expected
    assert drop or order.rows_left_out == 0
    assert read(order, 1) == epochs[1]


@st.composite
def order_arguments(draw: st.DrawFn) -> tuple[list[int], list[int], bool]:
    num_buckets = draw(st.integers(1, 4))
    buckets = draw(st.lists(st.integers(0, num_buckets - 1), min_size=1, max_size=30))
    sizes = draw(st.lists(st.integers(1, 5), min_size=num_buckets, max_size=num_buckets))
    return buckets, sizes, draw(st.booleans())


@given(order_arguments(), st.integers(0, 2**63 - 1))
def test_each_row_has_its_place_once_an_epoch(
    arguments: tuple[list[int], list[int], bool], seed: int
) -> None:
    buckets, sizes, drop = arguments
    order = EpochOrder(np.array(buckets), sizes, seed=seed, drop_remainder=drop)
    check_order(order, buckets, sizes, drop=drop)


def test_there_may_be_more_buckets_than_a_byte_can_count() -> None:
    buckets = [*range(300), *range(300)]
    order = EpochOrder(np.array(buckets), [2] * 300, seed=0, drop_remainder=False)
    check_order(order, buckets, [2] * 300, drop=False)


@pytest.mark.parametrize("fault", ["a row twice", "another bucket", "not the same again"])
def test_the_law_catches_a_wrong_order(fault: str) -> None:
    buckets, sizes = [0, 1, 1, 0, 1, 0, 1], [2, 3]
    order = EpochOrder(np.array(buckets), sizes, seed=3, drop_remainder=False)
    check_order(order, buckets, sizes, drop=False)

    class Broken(EpochOrder):  # type: ignore[misc]
        def __call__(self, epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            rows, starts, limits = super().__call__(epoch)
            if fault == "a row twice":
                rows = tf.concat([rows[:1], rows[:-1]], axis=0)
            elif fault == "another bucket":
                rows = rows[::-1]
            else:
                calls.append(epoch)
                starts, limits = (tf.roll(part, len(calls), axis=0) for part in (starts, limits))
            return rows, starts, limits

    calls: list[tf.Tensor] = []
    broken = Broken(np.array(buckets), sizes, seed=3, drop_remainder=False)
    with pytest.raises(AssertionError):
        check_order(broken, buckets, sizes, drop=False)


# The order is even: any row anywhere, and no stretch of long, short or small batches.


def check_shuffle(num_rows: int) -> None:
    """Check that each order of a few rows comes as often as any other."""
    order = EpochOrder(np.zeros(num_rows, int), [num_rows], seed=5, drop_remainder=False)
    epochs = 200 * math.factorial(num_rows)
    rows_of = tf.function(lambda epoch: order(epoch)[0])
    orders = Counter(tuple(rows_of(epoch).numpy()) for epoch in tf.range(epochs, dtype=tf.int64))
    assert len(orders) == math.factorial(num_rows)
    assert max(orders.values()) < 1.4 * min(orders.values())


def test_all_orders_are_equally_likely() -> None:
    check_shuffle(3)


def check_mixing(order: EpochOrder) -> None:
    """Check that many rows go anywhere, whatever their number, and part from their neighbours."""
    epochs = [np.concatenate(read(order, epoch)) for epoch in range(20)]
    correlations = [np.corrcoef(rows[:-1], rows[1:])[0, 1] for rows in epochs]
    correlations += [np.corrcoef(rows, np.arange(len(rows)))[0, 1] for rows in epochs]
    correlations += [np.corrcoef(a, b)[0, 1] for a, b in itertools.pairwise(epochs)]
    assert np.abs(correlations).max() < 0.03


def test_rows_are_shuffled_over_the_whole_epoch() -> None:
    check_mixing(EpochOrder(np.zeros(40_000, int), [40], seed=1, drop_remainder=False))


def test_the_laws_catch_a_shuffle_of_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    def shuffle_of_a_window(value: tf.Tensor, key: tf.Tensor, counter: tf.Tensor, alg: int) -> Any:
        rows = value.numpy() if tf.executing_eagerly() else value
        random = tf.random.stateless_uniform([len(value)], tf.cast(counter, tf.int64), maxval=5_000)
        return tf.argsort(tf.cast(rows, tf.float32) + random)

    order = EpochOrder(np.zeros(40_000, int), [40], seed=1, drop_remainder=False)
    monkeypatch.setattr(tf.raw_ops, "StatelessShuffle", shuffle_of_a_window)
    with pytest.raises(AssertionError):
        check_mixing(order)
    monkeypatch.setattr(tf.raw_ops, "StatelessShuffle", lambda value, **_: tf.roll(value, 1, 0))
    with pytest.raises(AssertionError):
        check_shuffle(3)


NUM_ROWS = 60_000


@functools.cache
def planned(seed: int) -> tuple[md.BatchPlan, np.ndarray]:
    """Return a plan of rows as long as those of `tests.speed`, in 382 batches, and the bucket of each row."""
    lengths = np.random.default_rng(0).lognormal(math.log(24) - 0.18, 0.6, NUM_ROWS)
    lengths = np.clip(lengths, 0, 256).astype(int)
    rows = tf.RaggedTensor.from_row_lengths(tf.zeros([lengths.sum()], tf.bool), lengths)
    plan = md.BatchPlan({"ids": rows}, "ids", num_buckets=16, max_tokens=4096, seed=seed)
    return plan, np.searchsorted(plan.buckets.bucket_boundaries, lengths, side="right")


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value; equal ones share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - counts / 2)[place]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def check_spread(plan: md.BatchPlan, bucket_of_row: np.ndarray) -> None:
    full = np.array(plan.buckets.bucket_batch_sizes)
    neighbours, leftovers = [], []
    for epoch in range(40):
        batches = plan.row_numbers(epoch)
        buckets = bucket_of_row[batches[:, :1].values]
        steps = np.arange(plan.num_batches)
        assert abs(correlation(steps, buckets)) < 0.05
        neighbours.append([correlation(buckets[:-lag], buckets[lag:]) for lag in range(1, 40)])
        leftovers.append(steps[batches.row_lengths() < full[buckets]] / plan.num_batches)
    assert np.abs(np.mean(neighbours, axis=0)).max() < 0.1
    quarters, _ = np.histogram(np.concatenate(leftovers), bins=4, range=(0, 1))
    assert quarters.min() > 0.7 * quarters.mean() > 80


@pytest.mark.parametrize("seed", range(3))
def test_long_short_and_small_batches_are_spread_over_the_epoch(seed: int) -> None:
    check_spread(*planned(seed))


@pytest.mark.parametrize(
    "fault", ["sorted by length", "a sawtooth", "what is left over comes last"]
)
def test_the_law_catches_batches_that_are_not_spread(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uniform = tf.raw_ops.StatelessRandomUniformV2
    plan, bucket_of_row = planned(0)

    def broken(shape: list[int], **arguments: Any) -> tf.Tensor:
        numbers = uniform(shape=shape, **arguments)
        within, turned = tf.split(numbers, [plan.num_batches, shape[0] - plan.num_batches])
        if fault == "a sawtooth":
            within *= 0
        return tf.concat([within, turned * 0], axis=0)

    if fault == "sorted by length":
        monkeypatch.setattr(plan._order, "_times", lambda epoch: tf.range(plan.num_batches))
    else:
        monkeypatch.setattr(tf.raw_ops, "StatelessRandomUniformV2", broken)
    with pytest.raises(AssertionError):
        check_spread(plan, bucket_of_row)
