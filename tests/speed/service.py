"""How fast the tf.data service gives rows, with one, two and three workers, next to one process.

`python -m tests.speed.service` writes its table into docs/scale.md. The servers run on this machine
and share its cores, so this measures what the service costs, and no more than the cores can give.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

import maskdata as md
from maskdata.data.distribute import Distribute
from tests.distributed.service_cluster import Cluster
from tests.speed.environments import ROOT
from tests.speed.performance_page import table, write_region

PAGE = ROOT / "docs/scale.md"
NUM_FILES, NUM_WORDS, WORDS_IN_A_ROW = 12, 50_000, 24
WORKS = {
    "split at spaces, looked up": md.Tokenize("text"),
    "split by tensorflow-text, looked up": md.Tokenize(
        "text", tokenizer=tf_text.UnicodeScriptTokenizer()
    ),
}
ALONE = "one process, no service"


def write_text(directory: Path, num_rows: int) -> list[Path]:
    """Write files for the workers to share."""
    random = np.random.default_rng(0)
    words = np.array([f"word{n}" for n in range(NUM_WORDS)])
    paths = [directory / f"{number}.txt" for number in range(NUM_FILES)]
    for number, path in enumerate(paths):
        with path.open("w") as file:
            for _ in range(number, num_rows, NUM_FILES):
                length = random.poisson(WORDS_IN_A_ROW)
                file.write(" ".join(words[random.integers(0, NUM_WORDS, length)]) + "\n")
    return paths


def ids_of(paths: list[Path], work: str) -> tf.data.Dataset:
    """Return the work to be shared, as blocks of ids."""
    vocabulary = md.Vocabulary([f"word{n}" for n in range(NUM_WORDS)])
    prepare = md.Chain(WORKS[work], md.Lookup("text", vocabulary))
    return prepare(md.read_text(paths, block_size=1024))


def seconds(rows: tf.data.Dataset, num_rows: int) -> float:
    """Return how long all rows take; they must all come."""
    begin = time.perf_counter()
    seen = rows.reduce(np.int64(0), lambda n, block: n + block["text"].nrows())
    if int(seen) != num_rows:
        raise AssertionError(f"{seen} rows came of {num_rows}")
    return time.perf_counter() - begin


def measure(num_rows: int, num_workers: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the median seconds of each work by contender, which take turns."""
    took: dict[str, dict[str, list[float]]] = {work: {ALONE: []} for work in WORKS}
    with tempfile.TemporaryDirectory() as directory:
        paths = write_text(Path(directory), num_rows)
        for number in range(1, num_workers + 1):
            name = f"{number} worker" + "s" * (number > 1)
            with Cluster(number) as cluster:
                for work, times in took.items():
                    alone = ids_of(paths, work)
                    shared = alone.apply(Distribute(cluster.address, num_rows=num_rows))
                    times[name] = []
                    for is_counted in [False] + [True] * rounds:
                        for who, rows in ((ALONE, alone), (name, shared)):
                            second = seconds(rows, num_rows)
                            times[who] += [second] * is_counted
    return {
        work: {who: statistics.median(each) for who, each in times.items()}
        for work, times in took.items()
    }


def lines(medians: dict[str, dict[str, float]], num_rows: int) -> list[str]:
    """Return the table in Markdown."""
    header = ["rows a second"]
    for work in medians:
        header += [work, "next to one process"]
    rows = []
    for who in next(iter(medians.values())):
        row = [who]
        for median in medians.values():
            row += [f"{num_rows / median[who]:,.0f}", f"{median[ALONE] / median[who]:.2f}"]
        rows.append(row)
    told = (
        f"{num_rows:,} lines of about {WORDS_IN_A_ROW} words; {os.cpu_count()} cores for all of it."
    )
    return [told, "", *table("l" + "rr" * len(medians), header, rows)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    medians = measure(options.rows, options.workers, options.rounds)
    written = lines(medians, options.rows)
    print("\n".join(written))
    write_region(PAGE, "throughput of the service", written)
