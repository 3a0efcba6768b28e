"""BatchPlan: every row once in every epoch, its features together, from any position on, in any process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import maskdata as md
from maskdata.data import batch_plan
from tests.strategies import Element, as_batches, as_rows, count_rows, cuts, elements, in_blocks

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
