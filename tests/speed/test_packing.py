"""The benchmark cannot rot: all methods give each row once, and best fit fills more than first fit."""

from pathlib import Path

import pytest

from tests.speed import packing
from tests.speed.compare import Here, compare
from tests.speed.packed_rows import BATCH_SIZE, LENGTH, efficiency, first_fit_efficiency, write
from tests.speed.performance_page import write_region


@pytest.mark.speed
def test_best_fit_fills_more_than_first_fit(tmp_path: Path) -> None:
    small = write(tmp_path / "small", 500, LENGTH / 25)
    full = write(tmp_path / "full", 3 * 4096, LENGTH / 25)
    results = compare([Here("tests.speed.packing")], small, full, rounds=1)
    assert {result.name: result.problem for result in results if result.problem} == {}
    best, first = (result.summary for result in results[:2])
    assert efficiency(best) >= efficiency(first) > 0.98
    expected = first_fit_efficiency(full.row_lengths, LENGTH, BATCH_SIZE)
    assert efficiency(first) == pytest.approx(expected)
    lines = packing.tables_of({LENGTH / 25: results}, len(full.row_lengths))
    print(*lines, sep="\n")
    assert sum(line.startswith(f"| {packing.BEST} | ") for line in lines) == 3
    page = tmp_path / "page.md"
    page.write_text(packing.PAGE.read_text())
    write_region(page, "packing", lines)
