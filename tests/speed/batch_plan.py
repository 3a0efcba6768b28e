"""How fast a plan is read, against tf.data's shuffled buckets on the same rows, and what it costs.

`python -m tests.speed.batch_plan` prints both tables.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from rich.console import Console
from rich.table import Table

import maskdata as md
from tests.speed import rows as made_up
from tests.speed.contender import Epoch, does_the_work, seconds, summarise
from tests.speed.rows import SLOTS, Rows
from tests.speed.tensorflow_epoch import TensorFlowEpoch, masked_by_values
from tests.speed.token_ids import generated_rows, ragged, single_rows, slices

NUM_BUCKETS = 16


def make_plan(rows: Rows) -> md.BatchPlan:
    return md.BatchPlan(
        {"tokens": ragged(rows)}, "tokens", num_buckets=NUM_BUCKETS, max_tokens=SLOTS, seed=0
    )


def planned(rows: Rows, plan: md.BatchPlan) -> Epoch:
    return TensorFlowEpoch(plan.dataset().apply(md.ToDense(lengths=plan.buckets.lengths)))


def stock(
    rows_of: Callable[[Rows], tf.data.Dataset],
) -> Callable[[Rows, md.BatchPlan], Epoch]:
    """tf.data with the plan's buckets; its buffer mixes fewer rows than a plan does."""

    def epoch(rows: Rows, plan: md.BatchPlan) -> Epoch:
        batches = (
            rows_of(rows)
            .shuffle(10_000)
            .bucket_by_sequence_length(
                lambda row: tf.size(row),
                plan.buckets.bucket_boundaries,
                plan.buckets.bucket_batch_sizes,
                padded_shapes=[None],
            )
        )
        return TensorFlowEpoch(masked_by_values(batches))

    return epoch


OURS = "maskdata, BatchPlan"
CONTENDERS: dict[str, Callable[[Rows, md.BatchPlan], Epoch]] = {
    OURS: planned,
    "tf.data, from_tensor_slices, shuffle, bucket_by_sequence_length": stock(single_rows),
    "tf.data, slices, shuffle, bucket_by_sequence_length": stock(slices),
    "tf.data, from_generator, shuffle, bucket_by_sequence_length": stock(generated_rows),
}


def compare(rows: Rows, rounds: int) -> dict[str, float]:
    """Return the median seconds of an epoch of each contender; they take turns in every round."""
    plan = make_plan(rows)
    epochs = {name: contender(rows, plan) for name, contender in CONTENDERS.items()}
    for name, epoch in epochs.items():
        assert does_the_work(summarise(epoch), rows), f"{name} gives other rows than it was given"
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for _ in range(rounds):
        for name, epoch in epochs.items():
            times[name].append(seconds(epoch))
    return {name: statistics.median(of_contender) for name, of_contender in times.items()}


def print_comparison(rows: Rows, rounds: int) -> dict[str, float]:
    times = compare(rows, rounds)
    table = Table(title=f"{len(rows.row_lengths):,} rows in memory; median of {rounds}")
    for column in ("pipeline", "seconds", "rows a second", "BatchPlan is faster by"):
        table.add_column(column, justify="left" if column == "pipeline" else "right")
    for name, taken in times.items():
        per_second = f"{len(rows.row_lengths) / taken:,.0f}"
        table.add_row(name, f"{taken:.2f}", per_second, f"{taken / times[OURS]:.1f}")
    Console(width=120).print(table)
    return times


def costs(rows: Rows, directory: Path) -> dict[str, str]:
    """Return what there is to pay besides reading: time, and what is saved."""
    start = time.perf_counter()
    plan = make_plan(rows)
    planning = time.perf_counter() - start
    plan.row_numbers(epoch=0)
    ordering = []
    for epoch in range(5):
        start = time.perf_counter()
        plan.row_numbers(epoch)
        ordering.append(time.perf_counter() - start)
    start = time.perf_counter()
    state = plan.state(epoch=0, step=0)
    hashing = time.perf_counter() - start
    iterator = iter(plan.dataset().apply(md.ToDense(lengths=plan.buckets.lengths)))
    for _ in range(plan.num_batches // 2):
        next(iterator)
    tf.train.Checkpoint(iterator=iterator).save(str(directory / "iterator"))
    saved = sum(path.stat().st_size for path in directory.iterdir())
    return {
        "rows": f"{plan.num_rows:,}",
        "batches": f"{plan.num_batches:,}",
        "efficiency": f"{plan.buckets.efficiency:.1%}",
        "plan, s": f"{planning:.2f}",
        "order an epoch, s": f"{statistics.median(ordering):.3f}",
        "first state, s": f"{hashing:.2f}",
        "state, bytes": f"{len(json.dumps(state))}",
        "iterator, MB": f"{saved / 1e6:.1f}",
    }


def print_costs(all_rows: list[Rows]) -> None:
    table = Table(title=f"What a plan of {NUM_BUCKETS} buckets costs")
    for rows in all_rows:
        with tempfile.TemporaryDirectory() as directory:
            columns = costs(rows, Path(directory))
        if not table.columns:
            for name in columns:
                table.add_column(name, justify="right")
        table.add_row(*columns.values())
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        made = [made_up.write(Path(directory) / str(n), n, 50_000) for n in options.rows]
        print_comparison(made[0], options.rounds)
        print_costs(made)


if __name__ == "__main__":
    main()
