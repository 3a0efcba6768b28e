"""The benchmark cannot rot, and no boundaries that it knows beat the plan's."""

import pytest

from tests.speed import plan_buckets


@pytest.mark.speed
def test_no_usual_boundaries_beat_the_plan() -> None:
    shares = plan_buckets.print_efficiency(num_rows=20_000)
    for i in range(len(plan_buckets.NUM_BUCKETS)):
        best = max(shares, key=lambda name: shares[name][i])
        assert best == "plan_buckets"
    plan_buckets.print_seconds(num_rows=20_000, rounds=1)
