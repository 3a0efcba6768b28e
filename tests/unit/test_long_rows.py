"""DropLong and SplitLong: what is too long goes or is split, and nothing else changes."""

from typing import Any

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import maskdata as md
from maskdata.data import long_rows
from tests.strategies import (
    ALL_KINDS,
    FIVE_ROWS,
    Element,
    Feed,
    all_kinds,
    as_rows,
    count_rows,
    cut,
    cuts,
)

STEPS = ("ids", "words", "columns", "nested")
"""The features of ALL_KINDS that have the same steps in each row."""


def read_all(pipeline: Feed, element: Element, data: st.DataObject) -> list[dict[str, Any]]:
    blocks = pipeline.read(cut(element, data.draw(cuts(count_rows(element)))))
    return [row for block in blocks for row in as_rows(block)]


def join_windows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows whose windows these are."""
    joined: list[dict[str, Any]] = []
    for row in rows:
        window = row.pop("ids_window")
        if window == 0:
            joined.append(row)
            continue
        assert all(joined[-1][name] == row[name] for name in row if name not in STEPS)
        joined[-1] |= {name: joined[-1][name] + row[name] for name in STEPS}
    return joined


def check_windows(rows: list[dict[str, Any]], element: Element, length: int) -> None:
    windows_of = {row["number"]: len(row["ids"]) for row in as_rows(element)}
    for row in rows:
        full = (row["ids_window"] + 1) * length <= windows_of[row["number"]]
        assert not full or len(row["ids"]) == length
    assert join_windows(rows) == as_rows(element)


def test_windows_joined_are_the_rows() -> None:
    pipeline = Feed(md.SplitLong(STEPS, length=2))

    @given(st.data())
    def check(data: st.DataObject) -> None:
        element = data.draw(all_kinds)
        check_windows(read_all(pipeline, element, data), element, 2)

    check()


def test_the_law_catches_windows_with_wrong_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = long_rows.plan_windows_of_rows

    def broken(lengths: tf.Tensor, length: int) -> tuple[tf.Tensor, ...]:
        row, window, steps = plan(lengths, length)
        return row, window[::-1], steps

    monkeypatch.setattr(long_rows, "plan_windows_of_rows", broken)
    element = {name: FIVE_ROWS[name] for name in ("number", *STEPS)}
    [block] = tf.data.Dataset.from_tensors(element).apply(md.SplitLong(STEPS, 1))
    with pytest.raises((AssertionError, IndexError)):
        check_windows(as_rows(block), element, 1)


def test_short_rows_stay_and_long_ones_go() -> None:
    pipeline = Feed(md.DropLong({"ids": 3}))

    @given(st.data())
    def check(data: st.DataObject) -> None:
        element = data.draw(all_kinds)
        expected = [row for row in as_rows(element) if len(row["ids"]) <= 3]
        assert read_all(pipeline, element, data) == expected

    check()


def test_any_feature_that_is_too_long_takes_its_row_along() -> None:
    rows = md.from_rows(
        {"source": [[1], [1, 2], [1]], "target": [[1], [1], [1, 2]], "n": [0, 1, 2]}
    )
    [block] = rows.apply(md.DropLong({"source": 1, "target": 1}))
    assert block["n"].numpy().tolist() == [0]


def test_describe_counts_rows_lost_and_windows_added() -> None:
    rows = md.from_rows({"ids": [[1, 2, 3, 4, 5], [6], [], [7, 8]], "words": [["a"]] * 4})
    split = rows.apply(md.SplitLong(["ids"], 2))
    described = md.describe(split, source=rows)
    assert (described.rows, described.windows_added, described.rows_lost) == (6, 2, 0)
    assert "6 rows in 1 batches, 0 rows lost, 2 rows added by splitting" in str(described)
    twice = split.apply(md.DropLong({"ids": 1}))
    assert md.describe(twice, source=rows).rows_lost == 2
    assert md.describe(rows.apply(md.DropLong({"ids": 2})), source=rows).rows_lost == 1


def test_specs_tell_the_truth() -> None:
    spec = Feed(md.SplitLong(STEPS, length=2)).dataset.element_spec
    assert set(spec) == {"ids", "number", *ALL_KINDS, "ids_window"}
    assert spec["columns"].shape.as_list() == [None, None, 3]
    assert spec["ids_window"] == tf.TensorSpec([None], tf.int64)
