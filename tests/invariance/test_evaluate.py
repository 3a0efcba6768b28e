"""`evaluate` says the truth for every batching, side of padding and number of replicas."""

import pytest

from tests.invariance.evaluate_everywhere import METRICS, measure_everywhere


@pytest.mark.slow
def test_evaluate_equals_the_truth() -> None:
    runs = measure_everywhere(num_rows=200, all_of_stock=False)
    assert sum(len(run["maskdata"]) for run in runs) == 12
    for run in runs:
        for name, values in run["maskdata"].items():
            for metric in METRICS:
                assert values[metric] == pytest.approx(run["truth"][metric], rel=1e-5), (
                    name,
                    metric,
                )
    stock = runs[0]["stock"]["buckets of 4096 slots"]
    assert stock["loss"] != pytest.approx(runs[0]["truth"]["token_loss"], rel=1e-2)
    assert stock["accuracy"] != pytest.approx(runs[0]["truth"]["accuracy"], rel=1e-2)
