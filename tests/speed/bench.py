"""`make bench`: measure everything side by side; write docs/performance.md and its chart.

Takes about ten minutes on two cores once the peers are installed. Nothing else should run.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.speed import heavy_rows, rows, scale, text_pipeline, token_ids, training_time
from tests.speed.compare import Elsewhere, Nowhere, Result, Worker, compare
from tests.speed.environments import REQUIREMENTS, ROOT, NotInstalledError, python_of
from tests.speed.performance_chart import draw
from tests.speed.performance_page import (
    Target,
    table_of_results,
    table_of_scale,
    table_of_targets,
    times_faster,
    write_region,
)

PAGE, CHART = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"
REGIONS = [
    "versions",
    "from text",
    "from token ids",
    "heavy rows",
    "scale",
    "training",
    "targets",
]
OUR_PYTHON = Path(sys.executable)


def text_targets(results: Sequence[Result]) -> list[Target]:
    ours, stock, floor = text_pipeline.OURS, text_pipeline.STOCK, text_pipeline.FLOOR
    bounds = {stock: 15.0, floor: 0.5} | dict.fromkeys(peer_names(results), 10.0)
    return [
        Target("from text", theirs, times_faster(results, ours, theirs), bound)
        for theirs, bound in bounds.items()
    ]


def token_id_targets(results: Sequence[Result]) -> list[Target]:
    bucket, plan, stock = token_ids.BUCKET, token_ids.PLAN, token_ids.STOCK
    pairs = {(bucket, stock): 15.0, (plan, stock): 20.0}
    pairs |= {(plan, peer): 10.0 for peer in peer_names(results)}
    return [
        Target(f"from token ids, {ours}", theirs, times_faster(results, ours, theirs), bound)
        for (ours, theirs), bound in pairs.items()
    ]


def peer_names(results: Sequence[Result]) -> list[str]:
    ours = ("maskdata", "tf.data", text_pipeline.FLOOR)
    return [result.name for result in results if not result.name.startswith(ours)]


def heavy_targets(seconds: Mapping[str, float]) -> list[Target]:
    ours, stock = heavy_rows.OURS, heavy_rows.STOCK
    return [Target(f"heavy rows, {ours}", stock, seconds[stock] / seconds[ours], 1.0)]


def scale_targets(few: scale.Reading, many: scale.Reading) -> list[Target]:
    time, memory = many.seconds / few.seconds, many.peak_mib / few.peak_mib
    theirs = f"{few.rows:,.0f} rows"
    return [
        Target("ten times the rows, seconds", theirs, time, 11, at_least=False),
        Target("ten times the rows, memory at the peak", theirs, memory, 1.1, at_least=False),
    ]


def peers(logs: Path, stack: ExitStack) -> list[Worker]:
    workers: list[Worker] = []
    for peer in REQUIREMENTS:
        module = f"tests.speed.peers.{peer}"
        try:
            python = python_of(peer)
            workers.append(stack.enter_context(Elsewhere(module, python, logs / peer)))
        except NotInstalledError as error:
            workers.append(Nowhere(module, str(error)))
    return workers


def versions(workers: Sequence[Worker]) -> str:
    found = {"Python": platform.python_version()}
    for each in workers:
        found |= each.ask(do="list").get("versions", {})
    named = ", ".join(f"{name} {version}" for name, version in found.items())
    return f"{named}; {os.cpu_count()} cores of {platform.machine()}, no accelerator."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--words", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale-rows", type=int, default=1_000_000)
    parser.add_argument("--lines", type=int, default=40_000)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--chart", type=Path, default=CHART)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        small = rows.write(directory / "small", options.rows // 10, options.words)
        full = rows.write(directory / "full", options.rows, options.words)
        with Elsewhere("tests.speed.text_pipeline", OUR_PYTHON, directory / "text") as worker:
            text = compare([worker], small, full, options.rounds)
        with ExitStack() as stack:
            own = Elsewhere("tests.speed.token_ids", OUR_PYTHON, directory / "token_ids")
            workers = [stack.enter_context(own), *peers(directory, stack)]
            ids = compare(workers, small, full, options.rounds)
            with_what = versions(workers)
    few, many = scale.compare(options.scale_rows, options.rounds)
    recordings, heavy = heavy_rows.compare(1_000, passes=10, rounds=options.rounds)
    outcomes = training_time.compare(options.lines, epochs=3)

    targets = text_targets(text) + token_id_targets(ids)
    targets += heavy_targets(heavy) + scale_targets(few, many)
    plan_and_bucket = [token_ids.PLAN, token_ids.BUCKET]
    tables = [
        [f"{options.rows:,} rows, the median of {options.rounds} rounds. {with_what}"],
        table_of_results(text, [text_pipeline.OURS], options.rows),
        table_of_results(ids, plan_and_bucket, options.rows),
        heavy_rows.table_of(recordings, heavy),
        table_of_scale([few, many]),
        training_time.table_of(outcomes),
        table_of_targets(targets),
    ]
    for lines in tables:
        print("", *lines, sep="\n")
    for region, lines in zip(REGIONS, tables, strict=True):
        write_region(options.page, region, lines)
    draw(options.chart, {"From text": text, "From token ids in memory": ids}, options.rows)


if __name__ == "__main__":
    main()
