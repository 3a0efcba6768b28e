"""Heavy rows, such as audio: 200 to 2,000 steps by 80 floats, 350 kB a row on average.

`python -m tests.speed.heavy_rows` prints the table of docs/performance.md alone.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

import maskdata as md
from tests.speed.performance_page import table
from tests.speed.tensorflow_epoch import TensorFlowEpoch

BOUNDARIES = [400, 600, 800, 1000, 1200, 1400, 1600, 1800]
BATCH_SIZES = [32, 24, 16, 14, 12, 10, 9, 8, 8]  # about 13,000 steps a batch
BLOCK_SIZE = 64
STOCK, OURS = "tf.data, row by row", "maskdata, from blocks"


@dataclass(frozen=True)
class Recordings:
    """Rows in memory, read `passes` times over: reading must not be what is measured."""

    frames: tf.RaggedTensor
    passes: int

    @property
    def gigabytes(self) -> float:
        return int(tf.size(self.frames.values, tf.int64)) * 4 * self.passes / 1e9

    def rows(self) -> tf.data.Dataset:
        values, splits = self.frames.values, self.frames.row_splits
        numbers = tf.data.Dataset.range(int(self.frames.nrows())).repeat(self.passes)
        return numbers.map(
            lambda n: {"frames": values[splits[n] : splits[n + 1]], "number": n},
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    def blocks(self) -> tf.data.Dataset:
        features = {"frames": self.frames, "number": tf.range(self.frames.nrows())}
        return md.from_rows(features, block_size=BLOCK_SIZE).repeat(self.passes)


def record(num_rows: int, passes: int, seed: int = 0) -> Recordings:
    lengths = np.random.default_rng(seed).integers(200, 2001, num_rows)
    values = tf.random.stateless_uniform([int(lengths.sum()), 80], [seed, 1])
    return Recordings(tf.RaggedTensor.from_row_lengths(values, lengths), passes)


def stock(recordings: Recordings) -> tf.data.Dataset:
    """tf.data: `bucket_by_sequence_length`, and the mask from the lengths."""

    def with_length(row: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return row | {"length": tf.shape(row["frames"])[0]}

    def with_mask(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        length = batch.pop("length")
        return batch | {"frames_mask": tf.sequence_mask(length, tf.shape(batch["frames"])[1])}

    rows = recordings.rows().map(with_length, num_parallel_calls=tf.data.AUTOTUNE)
    batches = rows.bucket_by_sequence_length(lambda row: row["length"], BOUNDARIES, BATCH_SIZES)
    return batches.map(with_mask, num_parallel_calls=tf.data.AUTOTUNE)


def maskdata(recordings: Recordings) -> tf.data.Dataset:
    """maskdata: the same batches in the same order, from blocks of 64 rows."""
    return md.Chain(md.BucketBySequenceLength("frames", BOUNDARIES, BATCH_SIZES), md.ToDense())(
        recordings.blocks()
    )


def maskdata_from_rows(recordings: Recordings) -> tf.data.Dataset:
    """maskdata, from the single rows that stock tf.data reads."""
    return md.Chain(
        md.RaggedBatch(BLOCK_SIZE, elements="rows"),
        md.BucketBySequenceLength("frames", BOUNDARIES, BATCH_SIZES),
        md.ToDense(),
    )(recordings.rows())


CONTENDERS: dict[str, Callable[[Recordings], tf.data.Dataset]] = {
    STOCK: stock,
    OURS: maskdata,
    "maskdata, from single rows": maskdata_from_rows,
}


def assert_same_batches(recordings: Recordings) -> None:
    theirs = list(stock(recordings))
    for contender in (maskdata, maskdata_from_rows):
        for mine, other in zip(contender(recordings), theirs, strict=True):
            for name in ("frames", "frames_mask", "number"):
                np.testing.assert_array_equal(mine[name], other[name])


def measure(recordings: Recordings, rounds: int) -> dict[str, float]:
    """Return the median seconds of each contender; they take turns in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, contender in CONTENDERS.items():
            epoch = TensorFlowEpoch(contender(recordings))
            start = time.perf_counter()
            epoch.read()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def compare(num_rows: int, passes: int, rounds: int) -> tuple[Recordings, dict[str, float]]:
    """Check that all contenders give the same batches, then measure them."""
    recordings = record(num_rows, passes)
    assert_same_batches(Recordings(recordings.frames, 1))
    return recordings, measure(recordings, rounds)


def table_of(recordings: Recordings, seconds: dict[str, float]) -> list[str]:
    header = ["", "GB a second", "times tf.data"]
    rows = [
        [name, f"{recordings.gigabytes / taken:.2f}", f"{seconds[STOCK] / taken:.2f}"]
        for name, taken in seconds.items()
    ]
    return table("lrr", header, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    found = compare(arguments.rows, arguments.passes, arguments.rounds)
    print("\n".join(table_of(*found)))
