"""Rows carried by reference: the same laws as for rows that are copied."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import maskdata as md
from maskdata.data import _blocks, _references
from tests.laws.test_resume import check_resume, rows_of_all_kinds
from tests.strategies import FIVE_ROWS, Element, Feed, all_kinds, as_rows, count_rows, cut, cuts

MOVING = {
    "Shuffle": md.Shuffle(3, seed=7, reshuffle_each_iteration=False),
    "BucketBySequenceLength": md.BucketBySequenceLength("ids", [2, 5], [3, 2, 2]),
}


def carry_by_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Carry all ragged numbers by reference."""
    monkeypatch.setattr(_references, "HEAVY_STEP", 1)


def by_copy_and_by_reference(transform: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Feed, Feed]:
    by_copy = Feed(transform)
    carry_by_reference(monkeypatch)
    return by_copy, Feed(transform)


def check_same(by_copy: Feed, by_reference: Feed, element: Element, bounds: list[int]) -> None:
    copied, referred = (
        [as_rows(batch) for batch in feed.read(cut(element, bounds))]
        for feed in (by_copy, by_reference)
    )
    assert copied == referred


@pytest.mark.parametrize("name", MOVING)
def test_references_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds = by_copy_and_by_reference(MOVING[name], monkeypatch)
    assert feeds[0].dataset.element_spec == feeds[1].dataset.element_spec

    @settings(max_examples=8)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        element = data.draw(all_kinds)
        check_same(*feeds, element, data.draw(cuts(count_rows(element))))

    check()


def test_the_law_catches_references_that_are_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    join = _references.join_references
    monkeypatch.setattr(_blocks, "join_references", lambda first, second: join(second, first))
    feeds = by_copy_and_by_reference(md.RaggedBatch(2), monkeypatch)
    with pytest.raises(AssertionError):
        check_same(*feeds, FIVE_ROWS, [0, 3, 5])


@pytest.mark.parametrize("name", MOVING)
def test_a_saved_iterator_resumes_exactly(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_by_reference(monkeypatch)
    check_resume(MOVING[name](rows_of_all_kinds()), tmp_path)


@pytest.mark.parametrize(
    ("spec", "heavy"),
    [
        (tf.RaggedTensorSpec([None, None, 80], tf.float32, 1), True),
        (tf.RaggedTensorSpec([None, None, 16], tf.float32, 1), True),
        (tf.RaggedTensorSpec([None, None, 15], tf.float32, 1), False),
        (tf.RaggedTensorSpec([None, None], tf.int64, 1), False),
        (tf.RaggedTensorSpec([None, None, None, 80], tf.float32, ragged_rank=2), True),
        (tf.RaggedTensorSpec([None, None, 80], tf.string, 1), False),
        (tf.TensorSpec([None, 1024], tf.float32), True),
        (tf.TensorSpec([None], tf.float32), False),
        (tf.TensorSpec([None, 100_000], tf.string), False),
    ],
)
def test_what_is_heavy(spec: Any, *, heavy: bool) -> None:
    assert _references.is_heavy(spec) == heavy


def test_heavy_rows_keep_their_static_shape() -> None:
    frames = tf.RaggedTensor.from_row_lengths(tf.random.uniform([12, 80]), [3, 0, 4, 5])
    images = tf.random.uniform([4, 32, 32, 3])
    rows = md.from_rows({"frames": frames, "images": images, "label": [0, 1, 2, 3]}, block_size=3)
    batches = rows.apply(md.BucketBySequenceLength("frames", [4], [2, 2], drop_remainder=True))
    assert batches.element_spec["images"].shape == [2, 32, 32, 3]
    assert batches.element_spec["frames"].shape == [2, None, 80]
    first, second = batches
    assert first["label"].numpy().tolist() == [0, 1]
    tf.debugging.assert_equal(second["images"], images[2:])
    tf.debugging.assert_equal(second["frames"].values, frames[2:].values)
