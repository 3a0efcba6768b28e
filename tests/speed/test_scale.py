"""Ten times the rows take no more memory in the streaming path, and we would see it if they did."""

import sys

import pytest

from tests.speed import scale


@pytest.mark.speed
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the peak memory")
def test_memory_does_not_grow_with_the_rows() -> None:
    few, many, hoarded = scale.read_elsewhere(50_000, 500_000, hoard=500_000)
    assert (few.rows, many.rows, hoarded.rows) == (50_000, 500_000, 500_000)
    assert many.peak_mib <= 1.1 * few.peak_mib < hoarded.peak_mib
    print(f"\nten times the rows: {many.seconds / few.seconds:.1f} times the time")
