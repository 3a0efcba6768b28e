"""Ten times the rows: at most eleven times the time, and no more memory.

`python -m tests.speed.scale` measures the whole streaming path: shuffle, buckets, padding, masks.
Each number of rows is read in a process of its own, whose peak memory Linux tells.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import maskdata as md
from tests.speed.environments import ROOT
from tests.speed.rows import BATCH_SIZES, BOUNDARIES

BLOCK_SIZE = 4096


class Reading(NamedTuple):
    """What one pass over `rows` rows took."""

    rows: int
    seconds: float
    mib_before: float  # in memory before the first row: TensorFlow itself
    peak_mib: float  # from the first row to the last


def made_up_rows(num_rows: int) -> tf.data.Dataset:
    """Make rows of about 24 ids as they are read, so that they are never all in memory."""

    def block(start: tf.Tensor) -> dict[str, tf.RaggedTensor]:
        seed, size = tf.stack([start, 0]), tf.minimum(num_rows - start, BLOCK_SIZE)
        lengths = tf.exp(3.0 + 0.6 * tf.random.stateless_normal([size], seed))
        row_lengths = tf.cast(tf.minimum(lengths, 256), tf.int64)
        ids = tf.random.stateless_uniform(
            [tf.reduce_sum(row_lengths)], seed, 2, 50_000, dtype=tf.int64
        )
        return {"tokens": tf.RaggedTensor.from_row_lengths(ids, row_lengths, validate=False)}

    return tf.data.Dataset.range(0, num_rows, BLOCK_SIZE).map(block)


def read(num_rows: int, *, hoard: bool = False) -> Reading:
    """Read made-up rows to their end; to hoard them is what a pipeline must not do."""
    rows = made_up_rows(num_rows)
    prepare = md.Chain(
        md.Shuffle(buffer_size=10_000, seed=0),
        md.BucketBySequenceLength("tokens", BOUNDARIES, BATCH_SIZES),
        md.ToDense(),
    )
    batches = prepare(rows.cache() if hoard else rows).prefetch(tf.data.AUTOTUNE)
    mib_before = _mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # Linux measures the peak anew from here
    start = time.perf_counter()
    num_read = batches.reduce(
        np.int64(0), lambda n, batch: n + tf.shape(batch["tokens"], tf.int64)[0]
    )
    return Reading(int(num_read), time.perf_counter() - start, mib_before, _mib("VmHWM"))


def _mib(name: str) -> float:
    (kib,) = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kib) / 2**10


def read_elsewhere(*num_rows: int, hoard: int = 0) -> list[Reading]:
    """Read in a new process, so that the peak is that of these rows alone; hoard so many at last."""
    command = [sys.executable, "-m", "tests.speed.scale", "--read", *map(str, num_rows)]
    command += ["--hoard", str(hoard)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [Reading(*reading) for reading in json.loads(done.stdout)]


def compare(num_rows: int, rounds: int) -> tuple[Reading, Reading]:
    """Return the medians for `num_rows` rows and for ten times as many, read in turns."""
    few, many = [], []
    for _ in range(rounds):
        few += read_elsewhere(num_rows)
        many += read_elsewhere(10 * num_rows)
    return _median(few), _median(many)


def _median(readings: list[Reading]) -> Reading:
    return Reading(*(statistics.median(numbers) for numbers in zip(*readings, strict=True)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--read", type=int, nargs="+", help="read so many rows, answer as JSON")
    parser.add_argument("--hoard", type=int, default=0, help="and at last keep so many in memory")
    options = parser.parse_args()
    if options.read:
        readings = [read(num_rows) for num_rows in options.read]
        if options.hoard:
            readings.append(read(options.hoard, hoard=True))
        print(json.dumps(readings))
    else:
        for each in compare(options.rows, options.rounds):
            print(f"{each.rows:,} rows: {each.seconds:.1f} s, peak {each.peak_mib:,.0f} MiB")
