"""Heavy rows: all contenders give the same batches in the same order; ratios are printed."""

import pytest

from tests.speed import heavy_rows


@pytest.mark.speed
def test_all_contenders_give_the_same_batches() -> None:
    recordings, seconds = heavy_rows.compare(100, passes=1, rounds=1)
    assert set(seconds) == set(heavy_rows.CONTENDERS)
    print("\n".join(["", *heavy_rows.table_of(recordings, seconds)]))
