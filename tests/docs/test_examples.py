"""The examples run as a reader would run them, and end where they say."""

import importlib
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.preloaded import run_script

EXAMPLES = Path(__file__).parents[2] / "examples"


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return what runs an example by its name and arguments, and returns what it printed."""
    return lambda name, *arguments: run_script(
        EXAMPLES / name, *arguments, output=tmp_path / "printed"
    )


@pytest.mark.slow
def test_two_replicas_end_where_one_device_ends(run: Run) -> None:
    printed = run("two_replicas.py")
    (apart,) = re.findall(r"The weights are at most (\S+) apart", printed)
    assert float(apart) < 1e-4
    for name in ("optimizer steps", "token_loss", "sparse_categorical_accuracy"):
        (alone, together), *_ = re.findall(rf"{name} +│ +(\S+) +│ +(\S+)", printed)
        assert float(alone) == pytest.approx(float(together), rel=1e-4)


@pytest.mark.slow
def test_two_processes_end_where_one_process_ends(run: Run) -> None:
    apart = re.findall(
        r"worker \d: weights within (\S+) of those of one process", run("multi_worker.py")
    )
    assert len(apart) == 2
    assert max(float(distance) for distance in apart) < 1e-6


@pytest.mark.slow
def test_rows_go_through_files_and_a_changed_byte_costs_one_row(run: Run) -> None:
    printed = run("shards.py")
    in_files = re.findall(r"rows-0000\d-of-00004.tfrecord │ ([\d,]+)", printed)
    num_rows = sum(int(number.replace(",", "")) for number in in_files)
    (planned,) = re.findall(r"(\d+) batches are planned", printed)
    ((steps, first, last),) = re.findall(r"(\d+) optimizer steps.*: (\S+) (\S+)", printed)
    assert int(steps) == 2 * int(planned)
    assert float(last) < float(first)
    assert f"{num_rows - 1:,} rows can be read, 1 lost" in printed
    assert f"The other {num_rows - 1:,} rows can be read." in printed


@pytest.mark.slow
def test_packed_batches_have_less_padding_and_the_model_learns(run: Run) -> None:
    printed = run("pack_language_model.py", "--bytes", "60000", "--epochs", "1", "--blocks", "1")
    lines = [line.split("│")[1:-1] for line in printed.splitlines() if "│" in line]
    table = {name.strip(): [cell.strip(" %") for cell in cells] for name, *cells in lines}
    packed_steps, packed_padding, *_, packed_loss = table["packed"]
    steps, padding, *_, loss = table["in buckets"]
    assert int(packed_steps) <= int(steps)
    assert float(packed_padding) < float(padding)
    assert float(packed_loss) == pytest.approx(float(loss), rel=0.1)
    assert float(packed_loss) < math.log(256)  # what guessing costs


@pytest.mark.slow
def test_every_row_comes_from_the_workers_of_the_service(run: Run) -> None:
    printed = run("service.py")
    assert "2,000 of 2,000 rows came from 2 workers" in printed
    accuracies = re.findall(r"accuracy (\S+)%", printed)
    assert len(accuracies) == 3
    assert float(accuracies[-1]) > 99


@pytest.mark.slow
def test_training_that_is_killed_ends_where_training_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # In this process: its trainings then come from the same server of processes as other tests'.
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "argv", ["resume.py", "--kills", "22"])
    importlib.import_module("resume").main()
    printed = capsys.readouterr().out
    (steps,) = re.findall(r"killed at the end of step (\d+); .* of step (\d+)", printed)
    assert steps == ("22", "20")
    assert printed.endswith("Bit for bit the same.\n")
