"""BatchPlan: every row once in every epoch, its features together, from any position on, in any process."""

import functools
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import maskdata as md
from maskdata.data import batch_plan
from maskdata.data._epoch_order import EpochOrder
from tests.strategies import (
    Element,
    as_batches,
    as_rows,
    count_rows,
    cuts,
    elements,
    in_blocks,
)

LENGTHS = [3, 0, 5, 1, 2, 2, 7, 4, 0, 1, 6, 3, 2]
SETTINGS = {"num_buckets": 3, "max_tokens": 14, "seed": 4}


def rows_of_all_kinds() -> Element:
    steps = sum(LENGTHS)

    def ragged(values: Any) -> tf.RaggedTensor:
        return tf.RaggedTensor.from_row_lengths(values, LENGTHS)

    return {
        "ids": ragged(tf.range(steps)),
        "number": tf.range(len(LENGTHS)),
        "words": ragged(tf.strings.as_string(tf.range(steps))),
        "columns": ragged(tf.reshape(tf.range(3.0 * steps), [steps, 3])),
        "nested": ragged(tf.RaggedTensor.from_row_lengths(tf.range(2 * steps), [2] * steps)),
        "label": tf.strings.as_string(tf.range(len(LENGTHS))),
        "vector": tf.reshape(tf.range(2 * len(LENGTHS)), [-1, 2]),
    }


# The rows of an epoch: which stand together, whole and with all their features.


def check_batches_are_the_planned_rows(plan: md.BatchPlan, element: Element) -> None:
    rows = as_rows(element)
    planned = [[rows[n] for n in numbers] for numbers in plan.row_numbers(epoch=0).to_list()]
    assert as_batches(plan.dataset()) == planned


@settings(max_examples=8)
@given(data=st.data())
def test_batches_are_the_planned_rows_from_any_blocks(data: st.DataObject) -> None:
    element = data.draw(elements().filter(lambda element: count_rows(element) > 0))
    rows = in_blocks(element, data.draw(cuts(count_rows(element))))
    different = len({max(len(row["ids"]), 1) for row in as_rows(element)})
    settings = {
        "num_buckets": data.draw(st.integers(1, different)),
        "batch_size": data.draw(st.integers(1, 4)),
        "seed": data.draw(st.integers(0, 2**63 - 1)),
    }
    at_once = data.draw(st.sampled_from([1, 100, 2**20]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_plan, "BYTES_AT_ONCE", at_once)
        plan = md.BatchPlan(rows, "ids", **settings)
        check_batches_are_the_planned_rows(plan, element)
    from_tensors = md.BatchPlan(element, "ids", **settings)
    assert from_tensors.row_numbers(3).to_list() == plan.row_numbers(3).to_list()
    assert from_tensors.state(3, 1) == plan.state(3, 1)


@pytest.mark.parametrize("at_once", [1, 2**20])
@pytest.mark.parametrize("fault", ["a feature of other rows", "a lost row"])
def test_the_law_catches_wrong_rows(
    at_once: int, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather_all = batch_plan.gather_all

    def broken(columns: Any, rows: tf.Tensor) -> Any:
        if fault == "a lost row":
            return gather_all(columns, rows[1:])
        return gather_all(columns, rows) | {"label": tf.gather(columns["label"], rows[::-1])}

    element = rows_of_all_kinds()
    plan = md.BatchPlan(element, "ids", **SETTINGS)
    monkeypatch.setattr(batch_plan, "BYTES_AT_ONCE", at_once)
    check_batches_are_the_planned_rows(plan, element)
    monkeypatch.setattr(batch_plan, "gather_all", broken)
    with pytest.raises((AssertionError, tf.errors.InvalidArgumentError)):
        check_batches_are_the_planned_rows(plan, element)


# The order of an epoch.

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


# Positions: an interrupted training sees what an uninterrupted one would have seen.


def small_plan(**changes: Any) -> md.BatchPlan:
    rows = {name: rows_of_all_kinds()[name] for name in ("ids", "number", "label")}
    return md.BatchPlan(rows, "ids", **SETTINGS | changes)


Rows = list[list[dict[str, Any]]]


def passes(plan: md.BatchPlan, epochs: int) -> Rows:
    dataset = plan.dataset()
    return [batch for _ in range(epochs) for batch in as_batches(dataset)]


def check_resume(resume: Callable[[int, int], tf.data.Dataset], expected: Rows, size: int) -> None:
    """Read on from each position of the first epoch and the begin of the next, for an epoch."""
    for position in range(size + 2):
        rest = resume(*divmod(position, size)).take(size)
        assert as_batches(rest) == expected[position : position + size]


@pytest.mark.parametrize("at_once", [1, 100])
def test_a_state_resumes_at_any_batch(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_plan, "BYTES_AT_ONCE", at_once)
    plan, other = small_plan(), small_plan()

    def resume(epoch: int, step: int) -> tf.data.Dataset:
        saved = json.dumps(plan.state(epoch, step))
        assert len(saved) < 1_000
        return other.resume(json.loads(saved))

    check_resume(resume, passes(plan, epochs=3), plan.num_batches)


@pytest.mark.parametrize("fault", ["a batch again", "the epoch again", "the same epoch for ever"])
def test_the_law_catches_a_resume_that_is_off(fault: str) -> None:
    plan = small_plan()
    broken: dict[str, Callable[[int, int], tf.data.Dataset]] = {
        "a batch again": lambda epoch, step: plan.stream(epoch, max(step - 1, 0)),
        "the epoch again": lambda epoch, step: plan.stream(epoch),
        "the same epoch for ever": lambda epoch, step: (
            plan.stream(epoch).take(plan.num_batches).repeat().skip(step)
        ),
    }
    with pytest.raises(AssertionError):
        check_resume(broken[fault], passes(plan, epochs=3), plan.num_batches)


def test_passes_repeats_and_the_stream_are_the_same_epochs() -> None:
    plan = small_plan()
    expected, size = passes(plan, epochs=4), plan.num_batches
    assert as_batches(plan.dataset().repeat(4)) == expected
    late = plan.dataset(epoch=2)
    assert as_batches(late) + as_batches(late) == expected[2 * size :]
    stream = plan.stream().take(4 * size)
    assert as_batches(stream) == as_batches(stream) == expected
    assert as_batches(plan.stream(epoch=1, step=size).take(size)) == expected[2 * size : 3 * size]
    epochs = [expected[i : i + size] for i in range(0, 4 * size, size)]
    assert len({repr(epoch) for epoch in epochs}) == 4


def test_another_seed_gives_another_order() -> None:
    seeds = (0, 1, 2**40, 2**63 - 1)
    assert len({repr(small_plan(seed=seed).row_numbers(0).to_list()) for seed in seeds}) == len(
        seeds
    )


@pytest.mark.parametrize(("at_once", "epochs"), [(1, 1), (100, 1), (100, 2)])
def test_a_saved_iterator_resumes_exactly(
    at_once: int, epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into another dataset, as in another process; a stream also into the next epoch."""
    monkeypatch.setattr(batch_plan, "BYTES_AT_ONCE", at_once)

    def batches() -> tf.data.Dataset:
        plan = small_plan()
        read = plan.dataset() if epochs == 1 else plan.stream().take(epochs * plan.num_batches)
        return read.apply(md.ToDense())

    expected, iterator, restored = as_batches(batches()), iter(batches()), iter(batches())
    checkpoint = tf.train.Checkpoint(iterator=iterator)
    for position in range(len(expected) + 1):
        path = checkpoint.save(str(tmp_path / "iterator"))
        tf.train.Checkpoint(iterator=restored).restore(path)
        assert [as_rows(batch) for batch in restored] == expected[position:]
        next(iterator, None)


def test_a_saved_iterator_holds_no_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_plan, "BYTES_AT_ONCE", 2**14)
    ids = tf.RaggedTensor.from_uniform_row_length(tf.range(4 * 500_000), 4)
    rows = {"ids": tf.RaggedTensor.from_row_splits(ids.values, ids.row_splits)}
    plan = md.BatchPlan(rows, "ids", num_buckets=1, batch_size=100, seed=0)
    iterator = iter(plan.dataset())
    for _ in range(20):
        next(iterator)
    tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "iterator"))
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1_000_000
