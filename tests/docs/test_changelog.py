"""CHANGELOG.md keeps the form of Keep a Changelog."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADINGS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", text, flags=re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    dates = [date for _, date in versions[1:]]
    assert all(dates)
    assert dates == sorted(dates, reverse=True)
    assert set(re.findall(r"^### (.+)$", text, flags=re.MULTILINE)) <= HEADINGS
    assert len(re.findall(r"^## ", text, flags=re.MULTILINE)) == len(versions)
