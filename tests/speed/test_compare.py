"""Contenders in a process of their own: the fastest setting stays, and every problem is told."""

import sys
from pathlib import Path

import pytest

from tests.speed.compare import Elsewhere, Nowhere, Result, compare
from tests.speed.performance_page import table_of_results, times_faster
from tests.speed.rows import Rows

MODULE = """
import os, time
import numpy as np
from tests.speed.contender import Contender

print("what a library says is no answer")

class Epoch:
    def __init__(self, rows, seconds=0.0, lost=0):
        self.rows, self.seconds, self.lost = rows, seconds, lost

    def read(self):
        time.sleep(self.seconds)

    def batches(self):
        for row in self.rows.as_arrays()[self.lost :]:
            yield row[None], np.ones([1, len(row)])

def raises(rows):
    raise ValueError("not today")

DISTRIBUTIONS = ["numpy"]
CONTENDERS = [
    Contender("good", "", {"slow": lambda r: Epoch(r, 0.2), "fast": lambda r: Epoch(r, 0.01)}),
    Contender("takes long", "", {"": lambda r: Epoch(r, 0.6)}),
    Contender("loses a row", "", {"always": lambda r: Epoch(r, lost=1)}),
    Contender("raises", "", {"": raises}),
    Contender("a part", "", {"": lambda r: Epoch(r, lost=1)}, whole=False),
]
"""
DYING = (
    MODULE
    + """
CONTENDERS = [Contender("dies", "", {"": lambda r: os._exit(1)})]
"""
)


@pytest.fixture
def results(small: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Result]:
    (tmp_path / "peer.py").write_text(MODULE)
    (tmp_path / "dying.py").write_text(DYING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    python = Path(sys.executable)
    with (
        Elsewhere("peer", python, tmp_path / "1") as peer,
        Elsewhere("dying", python, tmp_path / "2") as dying,
    ):
        compared = compare([peer, dying, Nowhere("absent", "not installed")], small, small, 3, 0.5)
    return {result.name: result for result in compared}


def test_the_fastest_setting_stays_and_every_problem_is_told(results: dict[str, Result]) -> None:
    good = results["good"]
    assert (good.setting, len(good.seconds), good.problem) == ("fast", 3, "")
    assert 0.01 <= good.median < 0.2
    assert len(results["takes long"].seconds) == 1
    assert (good.summary.rows, good.summary.efficiency) == (1_000, 1.0)
    assert {name: result.problem for name, result in results.items()} == {
        "good": "",
        "takes long": "",
        "loses a row": "'always' gives other rows than it was given",
        "raises": "ValueError: not today",
        "a part": "",
        "dies": "its process ended: what a library says is no answer",
        "absent": "not installed",
    }


def test_the_table_names_everyone(results: dict[str, Result]) -> None:
    table = table_of_results(list(results.values()), ["good"], num_rows=1_000)
    for (name, result), line in zip(results.items(), table[2:], strict=True):
        assert name in line
        assert result.problem in line
    assert times_faster(list(results.values()), "good", "raises") is None
