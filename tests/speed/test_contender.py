"""The check of what a contender did: the same rows in any company pass, all else is noticed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tests.speed import contender
from tests.speed.contender import Batch, does_the_work, multiset_checksum, summarise
from tests.speed.rows import Rows

row_lists = st.lists(st.lists(st.integers(1, 4), max_size=4), min_size=1, max_size=6)


def checksum(rows: list[list[int]]) -> int:
    ids = np.array([step for row in rows for step in row], np.int64)
    return multiset_checksum(ids, np.array([len(row) for row in rows]))


@given(row_lists, row_lists)
def test_only_the_same_rows_have_the_same_checksum(a: list[list[int]], b: list[list[int]]) -> None:
    assert (checksum(a) == checksum(b)) == (sorted(a) == sorted(b))


@given(row_lists, st.randoms())
def test_order_does_not_change_the_checksum(rows: list[list[int]], random) -> None:
    shuffled = random.sample(rows, len(rows))
    assert checksum(shuffled) == checksum(rows)


class Padded:
    """Batches of two rows, with whatever fault is asked for."""

    def __init__(self, rows: Rows, fault: Callable[[np.ndarray, np.ndarray], Batch]):
        self.rows, self.fault = rows, fault

    def read(self) -> None: ...

    def batches(self) -> Iterator[Batch]:
        arrays = self.rows.as_arrays()
        for start in range(0, len(arrays), 2):
            pair = arrays[start : start + 2]
            mask = np.arange(4) < np.array([len(row) for row in pair])[:, None]
            ids = np.full(mask.shape, 7)
            ids[mask] = np.concatenate(pair)
            yield self.fault(ids, mask)


ROWS = Rows(np.array([1, 2, 3, 4, 5, 6]), np.array([3, 1, 0, 2]), Path())


@pytest.fixture(params=[1, 3, 4])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The expected checksum is made in pieces of so many rows: there are four."""
    monkeypatch.setattr(contender, "AT_ONCE", request.param)


@pytest.mark.usefixtures("at_once")
def test_padded_rows_do_the_work() -> None:
    summary = summarise(Padded(ROWS, lambda ids, mask: (ids, mask.astype(np.int32))))
    assert does_the_work(summary, ROWS)
    assert (summary.rows, summary.steps, summary.slots, summary.batches) == (4, 6, 16, 2)
    assert (summary.lengths, summary.shapes, summary.efficiency) == (1, 1, 6 / 16)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    "fault",
    [
        lambda ids, mask: (ids[:1], mask[:1]),  # a row is lost
        lambda ids, mask: (np.concatenate([ids, ids]), np.concatenate([mask, mask])),  # or doubled
        lambda ids, mask: (ids, np.ones_like(mask)),  # padding counts
        lambda ids, mask: (ids, mask & (np.arange(4) < 2)),  # a row is cut
        lambda ids, mask: (ids[:, ::-1], mask[:, ::-1]),  # or reversed
        lambda ids, mask: (np.flip(ids, 0), mask),  # or masked as another one
    ],
)
def test_faults_are_noticed(fault: Callable[[np.ndarray, np.ndarray], Batch]) -> None:
    assert not does_the_work(summarise(Padded(ROWS, fault)), ROWS)
