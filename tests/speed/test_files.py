"""All contenders read the same rows; ratios are printed, and the page has a place for them."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.speed import files


@pytest.mark.speed
def test_all_read_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "files.md"
    shutil.copy(files.PAGE, page)
    arguments = ["--rows", "3000", "--rounds", "1", "--page", str(page)]
    monkeypatch.setattr(sys, "argv", ["files", *arguments])
    files.main()
    assert "3,000 rows" in page.read_text()
