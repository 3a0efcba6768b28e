"""Packing: how full the packed rows are, and how fast, against grain and seqio on the same rows.

`python -m tests.speed.packing` writes the tables of docs/packing.md. Nothing else should run.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import numpy as np
import tensorflow as tf

from maskdata.data.pack import Method, Pack
from maskdata.data.read import from_rows
from tests.speed.compare import Elsewhere, Nowhere, Result, Worker, compare
from tests.speed.contender import Batch, Contender
from tests.speed.environments import ROOT, NotInstalledError, python_of
from tests.speed.packed_rows import BATCH_SIZE, LENGTH, MEANS, efficiency, write
from tests.speed.performance_page import table, times_faster, write_region
from tests.speed.rows import Rows
from tests.speed.tensorflow_epoch import PackedEpoch

PAGE = ROOT / "docs" / "packing.md"


def pack(rows: Rows, method: Method) -> PackedEpoch:
    ragged = tf.RaggedTensor.from_row_splits(rows.token_ids, rows.row_splits)
    blocks = from_rows({"tokens": ragged})
    return PackedEpoch(blocks.apply(Pack({"tokens": LENGTH}, BATCH_SIZE, method)))


class CopiedEpoch:
    """The bytes of the packed batches, copied."""

    def __init__(self, rows: Rows):
        shape = (BATCH_SIZE, LENGTH)
        self.num_batches = int(rows.row_lengths.sum()) // (BATCH_SIZE * LENGTH) + 1
        self.batch = [np.ones(shape, dtype) for dtype in ("int32", "int32", "int32", "bool")]

    def read(self) -> None:
        for _ in range(self.num_batches):
            for feature in self.batch:
                feature.copy()

    def batches(self) -> Iterator[Batch]:
        raise NotImplementedError


BEST, FIRST, SPLIT = (f"maskdata, {method}" for method in get_args(Method))
COPY = "a plain copy of the bytes of the batches"
DISTRIBUTIONS = ["tensorflow"]
CONTENDERS = [
    Contender(BEST, "", {"": lambda rows: pack(rows, "best_fit")}),
    Contender(FIRST, f"{BATCH_SIZE} bins", {"": lambda rows: pack(rows, "first_fit")}),
    Contender(
        SPLIT,
        "splits rows",
        {"": lambda rows: pack(rows, "concat_then_split")},
        whole=False,
    ),
    Contender(COPY, "packs nothing", {"": CopiedEpoch}, whole=False),
]

ENOUGH = 240
"""Seconds after which a contender is not measured again: grain takes minutes for one pass."""

PEERS = {"grain_packing": "grain_dataset", "seqio_packing": "seqio_task"}
"""The modules of `tests.speed.peers` that pack, and in whose environment."""


def workers(logs: Path, stack: ExitStack, peers: Iterable[str] = PEERS) -> Iterator[Worker]:
    ours = Elsewhere("tests.speed.packing", Path(sys.executable), logs / "maskdata")
    yield stack.enter_context(ours)
    for module in peers:
        environment, name = PEERS[module], f"tests.speed.peers.{module}"
        try:
            python = python_of(environment)
            yield stack.enter_context(Elsewhere(name, python, logs / module))
        except NotInstalledError as error:
            yield Nowhere(name, str(error))


def tables_of(by_mean: Mapping[float, Sequence[Result]], num_rows: int) -> list[str]:
    """Tell how full the packed rows are, and how many rows a second were packed, for each mean."""
    first, *_ = by_mean.values()
    filled, speed, ratio, problems = [], [], [], []
    for i, result in enumerate(first):
        of_means = [results[i] for results in by_mean.values()]
        if found := [r.problem for r in of_means if r.problem]:
            problems.append(f"**No result for {result.name}**: {found[0]}")
            continue
        if all(r.summary for r in of_means):
            filled.append([result.name, *(f"{efficiency(r.summary):.2%}" for r in of_means)])
        speed.append([result.name, *(f"{num_rows / r.median:,.0f}" for r in of_means)])
        faster = [times_faster(results, BEST, result.name) for results in by_mean.values()]
        ratio.append([result.name, *("-" if x is None else f"{x:.2f}" for x in faster)])
    tables = {
        f"The share of the slots that is real steps, for {num_rows:,} rows:": filled,
        "Rows a second, median of the passes:": speed,
        f"How many times faster `{BEST}` is:": ratio,
    }
    header = ["", *(f"1/{LENGTH / mean:.0f}" for mean in by_mean)]
    lines = problems
    for title, rows in tables.items():
        lines += ["", title, "", *table("l" + "r" * len(by_mean), header, rows)]
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300 * 4096)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--means", type=float, nargs="*", default=MEANS)
    parser.add_argument("--peers", choices=PEERS, nargs="*", default=[*PEERS])
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    by_mean = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        found = list(workers(directory, stack, options.peers))
        for mean in options.means:
            small = write(directory / f"small {mean}", options.rows // 20, mean)
            full = write(directory / f"full {mean}", options.rows, mean)
            by_mean[mean] = compare(found, small, full, options.rounds, ENOUGH)
    lines = tables_of(by_mean, options.rows)
    print(*lines, sep="\n")
    write_region(options.page, "packing", lines)


if __name__ == "__main__":
    main()
