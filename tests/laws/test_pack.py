"""Packing loses nothing and mixes nothing: what was packed comes back, whole and in order."""

import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import maskdata as md
from maskdata.data import _best_fit, _in_order, _references, _segments
from maskdata.data import pack as pack_module
from tests.laws.test_resume import check_resume, rows_of_all_kinds
from tests.strategies import (
    FIVE_ROWS,
    MAX_STEPS,
    Element,
    Feed,
    all_kinds,
    as_rows,
    count_rows,
    cut,
    cuts,
    in_blocks,
)

STEPS = ("ids", "words", "columns", "nested")
"""The features of ALL_KINDS that have the same steps in each row."""

BATCH_SIZE = 2
ALL, SOME = dict.fromkeys(STEPS, 9), {"ids": MAX_STEPS, "nested": 5}


CUT = 4
"""The steps that nested may keep in a test of features of several lengths."""


def pack(lengths: dict[str, int], **arguments: Any) -> md.Chain:
    """Return Pack, for the features in `lengths`, after what makes nested shorter than ids."""
    others = set(STEPS) - set(lengths)
    return md.Chain(
        lambda rows: rows.map(lambda row: {name: row[name] for name in row if name not in others}),
        md.Truncate({"nested": CUT if lengths is SOME else MAX_STEPS}),
        md.Pack(lengths, BATCH_SIZE, **arguments),
    )


PACKS = {
    "best_fit": pack(ALL, buffer_size=5),
    "best_fit, two lengths, three segments": pack(SOME, buffer_size=20, max_segments=3),
    "first_fit": pack(SOME, method="first_fit"),
    "concat_then_split": pack({"ids": 3, "nested": 3}, method="concat_then_split"),
}


def check_segments(batch: dict[str, np.ndarray], lengths: dict[str, int]) -> None:
    """Check the form of a batch: segments one after the other, each counted from 0, then padding."""
    segment_mask = batch["segment_mask"]
    num_segments = segment_mask.sum(1)
    assert (segment_mask == (np.arange(segment_mask.shape[1]) < num_segments[:, None])).all()
    for name, length in lengths.items():
        ids, positions = batch[f"{name}_segment_ids"], batch[f"{name}_positions"]
        assert ids.shape == positions.shape == (len(segment_mask), length)
        assert ids.dtype == positions.dtype == np.int32
        assert (batch[f"{name}_mask"] == (ids > 0)).all()
        for of_row, at, most in zip(ids.tolist(), positions.tolist(), num_segments, strict=True):
            runs = [(key, len(list(run))) for key, run in itertools.groupby(of_row)]
            segments = [key for key, _ in runs if key]
            assert segments == sorted(set(segments))
            assert runs == [(key, n) for key, n in runs if key] + runs[len(segments) :]
            assert max(segments, default=0) <= most
            assert at == [i if key else 0 for key, n in runs for i in range(n)]


def join_windows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows whose windows these are."""
    joined: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row["number"], row["ids_window"])):
        if row.pop("ids_window") == 0:
            joined.append(row)
            continue
        steps = {name: joined[-1][name] + row[name] for name in STEPS if name in row}
        assert joined[-1] | steps == row | steps
        joined[-1] |= steps
    return joined


def check_packed(batches: list[Element], element: Element, pack: md.Pack) -> None:
    """Check the form of the batches, and that they hold the rows of `element`."""
    for batch in batches:
        check_segments({key: feature.numpy() for key, feature in batch.items()}, pack.lengths)
    has_segments = [batch["segment_mask"].numpy().any(1) for batch in batches]
    assert all(len(has) == BATCH_SIZE and has[0] for has in has_segments)
    assert all(has.all() for has in has_segments[:-1])
    if pack.max_segments is not None:
        assert {batch["segment_mask"].shape[1] for batch in batches} <= {pack.max_segments}
    rows = [row for batch in batches for row in as_rows(md.unpack(batch))]
    if pack.method == "concat_then_split":
        rows = join_windows(rows)
    assert sorted(rows, key=lambda row: row["number"]) == expected_rows(element, pack)


def expected_rows(element: Element, pack: md.Pack) -> list[dict[str, Any]]:
    rows = as_rows(
        {name: f for name, f in element.items() if name in pack.lengths or name not in STEPS}
    )
    for row in rows if "nested" in pack.lengths else []:
        steps = row["nested"][:CUT] if pack.lengths is SOME else row["nested"]
        row |= {"nested": steps, "nested_cut": len(row["nested"]) - len(steps)}
    return rows


@functools.cache
def feed(name: str) -> Feed:
    """Return what packs, built once in a process."""
    return Feed(PACKS[name])


@pytest.mark.parametrize("name", PACKS)
def test_unpacked_rows_are_the_rows_however_the_input_is_cut(name: str) -> None:
    @settings(max_examples=3)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        element = data.draw(all_kinds)
        first, second = (cut(element, data.draw(cuts(count_rows(element)))) for _ in range(2))
        batches = feed(name).read(first)
        check_packed(batches, element, PACKS[name].transforms[-1])
        for batch, same in zip(batches, feed(name).read(second), strict=True):
            for key, feature in batch.items():
                np.testing.assert_array_equal(feature, same[key])

    check()


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("rows", [[], [0, 2, 2, 2, 2]])
def test_few_rows_and_rows_without_steps(name: str, rows: list[int]) -> None:
    indices = tf.constant(rows, tf.int64)
    element = {key: tf.gather(feature, indices) for key, feature in FIVE_ROWS.items()}
    element["number"] = tf.range(len(rows))
    check_packed(feed(name).read([element]), element, PACKS[name].transforms[-1])


def skip_a_segment(
    rows: Element, row_splits: tf.Tensor, *arguments: Any, **options: Any
) -> Element:
    """Pack, but number the segments from 2."""
    packed = _segments.pack_segments(rows, row_splits, *arguments, **options)
    ids = packed["ids_segment_ids"]
    return packed | {"ids_segment_ids": tf.where(ids > 0, ids + 1, 0)}


def positions_of_the_packed_row(*arguments: Any, **options: Any) -> Element:
    packed = _segments.pack_segments(*arguments, **options)
    mask = packed["ids_mask"]
    positions = tf.cumsum(tf.cast(mask, tf.int32), axis=1, exclusive=True)
    return packed | {"ids_positions": tf.where(mask, positions, 0)}


def all_in_one(lengths: tf.Tensor, *_: Any, **__: Any) -> tf.Tensor:
    return tf.zeros(tf.shape(lengths)[:1], tf.int64)


def without_the_last(lengths: tf.Tensor, *_: Any, is_end: tf.Tensor, **__: Any) -> tf.Tensor:
    rows = tf.range(tf.shape(lengths, tf.int64)[0])
    return tf.where(is_end & (rows != 3), rows, -1)


FAULTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "segment ids that begin at 2": ("pack_segments", skip_a_segment),
    "positions that do not restart": ("pack_segments", positions_of_the_packed_row),
    "packed rows that are too full": ("best_fit", all_in_one),
    "a row that is lost": ("best_fit", without_the_last),
}


FIVE = {name: FIVE_ROWS[name] for name in ("ids", "number")}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_law_catches(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_module, *FAULTS[fault])
    method = "best_fit" if "best_fit" in FAULTS[fault] else "first_fit"
    pack = md.Pack({"ids": 3}, BATCH_SIZE, method)
    with pytest.raises(AssertionError):
        check_packed(list(in_blocks(FIVE, [0, 5]).apply(pack)), FIVE, pack)


def test_the_law_catches_windows_that_forget_the_steps_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = _in_order.plan_segments

    def broken(num_steps: tf.Tensor, *arguments: Any, **options: Any) -> Any:
        return plan(tf.zeros_like(num_steps), *arguments, **options)

    monkeypatch.setattr(_in_order, "plan_segments", broken)
    pack = md.Pack({"ids": 3}, BATCH_SIZE, method="concat_then_split")
    with pytest.raises(AssertionError):
        check_packed(list(in_blocks(FIVE, [0, 2, 5]).apply(pack)), FIVE, pack)


@pytest.mark.parametrize("method", get_args(pack_module.Method))
def test_a_saved_iterator_resumes_exactly(method: Any, tmp_path: Path) -> None:
    rows = rows_of_all_kinds().map(lambda row: {name: row[name] for name in ("ids", "label")})
    check_resume(md.Pack({"ids": 7}, BATCH_SIZE, method, buffer_size=5)(rows), tmp_path)


@pytest.mark.parametrize("method", ["best_fit", "concat_then_split"])
def test_references_change_nothing(method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of_all_kinds().map(lambda row: {name: row[name] for name in ("columns", "label")})
    pack = md.Pack({"columns": 7}, BATCH_SIZE, method, buffer_size=5)
    by_copy = list(pack(rows))
    monkeypatch.setattr(_references, "HEAVY_STEP", 1)
    for copied, referred in zip(by_copy, pack(rows), strict=True):
        for key, feature in copied.items():
            np.testing.assert_array_equal(feature, referred[key])


def batch_of_a_row_that_nothing_fits() -> int:
    """Return in which batch a row of 5 steps leaves, the first of 200, when all others have 4 of 8."""
    rows = md.from_rows({"ids": [[0] * 5] + [[0] * 4] * 199, "n": np.arange(200)})
    batches = rows.apply(md.Pack({"ids": 8}, batch_size=1, buffer_size=20))
    return next(i for i, batch in enumerate(batches) if 0 in batch["n"].numpy())


def test_no_row_waits_for_ever() -> None:
    assert batch_of_a_row_that_nothing_fits() < 10  # with the first pool


def test_the_law_catches_a_row_that_waits_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    place_rows = _best_fit.place_rows

    def broken(*arguments: Any) -> Any:
        bins, num_bins, _ = place_rows(*arguments)
        return bins, num_bins, 0

    monkeypatch.setattr(_best_fit, "place_rows", broken)
    assert batch_of_a_row_that_nothing_fits() > 80
