"""`make bench` writes tables between marks, and nothing else of the page."""

from pathlib import Path

import pytest

from tests.speed import bench
from tests.speed.performance_page import Target, table, write_region


def test_what_stands_outside_of_the_marks_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("prose\n\n<!-- a -->\nold\n<!-- /a -->\n\nmore\n<!-- b -->\n<!-- /b -->\n")
    for lines in (["one", r"\1 two"], ["three"]):
        write_region(page, "a", lines)
    assert page.read_text() == (
        "prose\n\n<!-- a -->\nthree\n<!-- /a -->\n\nmore\n<!-- b -->\n<!-- /b -->\n"
    )


def test_a_page_without_the_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("prose")
    with pytest.raises(ValueError, match="must have one region 'a', has 0"):
        write_region(page, "a", ["one"])


def test_the_page_has_a_place_for_every_table() -> None:
    page = bench.PAGE.read_text()
    for region in bench.REGIONS:
        assert page.count(f"<!-- {region} -->") == page.count(f"<!-- /{region} -->") == 1


def test_a_target_tells_whether_it_holds() -> None:
    assert Target("a", "b", 15.0, 15).cells() == ["a", "b", "at least 15", "15.00", "yes"]
    assert Target("a", "b", 14.9, 15).cells()[-1] == "**no**"
    assert Target("a", "b", 1.2, 1.1, at_least=False).cells()[-1] == "**no**"
    assert Target("a", "b", None, 15).cells()[-1] == "**not measured**"


def test_a_table_is_markdown() -> None:
    lines = table("lr", ["", "n"], [["a|b", "1"]])
    assert lines == ["|  | n |", "| --- | --: |", r"| a\|b | 1 |"]
