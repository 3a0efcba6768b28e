"""Training that is killed ends, bit for bit, where training ends that is not."""

import random
import signal
from pathlib import Path

import pytest

from tests.laws.resumable_runs import DEATHS, train
from tests.preloaded import run


@pytest.mark.slow
@pytest.mark.parametrize(("source", "num_kills"), [("BatchPlan", 20), ("dataset", 10)])
def test_killed_training_ends_where_training_ends(
    source: str, num_kills: int, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(train, source, tmp_path / "a", whole, None, 0) == 0
    dice = random.Random(num_kills)
    steps = sorted(dice.randrange(1, 27) for _ in range(num_kills))
    deaths = [
        run(train, source, tmp_path / "b", killed, DEATHS[i % len(DEATHS)], step)
        for i, step in enumerate(steps)
    ]
    assert set(deaths) <= {-signal.SIGKILL, -signal.SIGTERM}
    run(train, source, tmp_path / "b", killed, None, 0, seconds=dice.uniform(0, 3))
    assert run(train, source, tmp_path / "b", killed, None, 0) == 0
    assert killed.read_text() == whole.read_text()
