"""All rows come through the service, and the page has a place for how fast."""

import shutil
from pathlib import Path

import pytest

from tests.speed import service
from tests.speed.performance_page import write_region


@pytest.mark.speed
def test_one_process_and_its_workers_give_the_same_rows(tmp_path: Path) -> None:
    medians = service.measure(num_rows=3_000, num_workers=1, rounds=1)
    assert [list(times) for times in medians.values()] == [[service.ALONE, "1 worker"]] * 2
    page = Path(shutil.copy(service.PAGE, tmp_path))
    write_region(page, "throughput of the service", service.lines(medians, 3_000))
    assert "3,000 lines" in page.read_text()
