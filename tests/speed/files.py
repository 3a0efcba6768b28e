"""How fast rows are written to files and read from them, next to how that is done by hand.

`python -m tests.speed.files` writes the tables of docs/files.md. Contenders take turns, and each is
given what it took next to maskdata; time is wall time, and the CPU time of the process beside it.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

import maskdata as md
from tests.speed.environments import ROOT
from tests.speed.performance_page import table, write_region

PAGE = ROOT / "docs" / "files.md"
SHARDS = 4
BLOCK_SIZE = 4096
FEATURES = {
    "ids": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
    "scores": tf.io.RaggedFeature(tf.float32, row_splits_dtype=tf.int64),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


class Files(NamedTuple):
    """The same rows in memory and in files."""

    directory: Path
    num_rows: int
    arrays: dict[str, Any]

    @property
    def records(self) -> list[str]:
        return sorted(map(str, (self.directory / "rows").glob("*.tfrecord")))


def make(directory: Path, num_rows: int, seed: int = 0) -> Files:
    """Write rows of about 24 ids and scores, as TFRecords, JSON lines and Parquet."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(24) - 0.18, 0.6, num_rows).astype(int), 0, 256)
    splits = np.append(0, np.cumsum(lengths))
    ids = rng.integers(0, 50_000, splits[-1])
    scores = rng.random(splits[-1], np.float32)
    arrays = {"ids": ids, "scores": scores, "splits": splits, "label": np.arange(num_rows)}
    files = Files(directory, num_rows, arrays)
    md.write_tfrecord(blocks(files), directory / "rows", shards=SHARDS)
    columns = {
        name: pa.LargeListArray.from_arrays(splits, arrays[name]) for name in ("ids", "scores")
    }
    table = pa.table(columns | {"label": arrays["label"]})
    pq.write_table(table, directory / "rows.parquet")
    with (directory / "rows.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in table.to_pylist())
    return files


def blocks(files: Files) -> tf.data.Dataset:
    arrays = files.arrays
    ragged = {
        name: tf.RaggedTensor.from_row_splits(arrays[name], arrays["splits"])
        for name in ("ids", "scores")
    }
    return md.from_rows(ragged | {"label": arrays["label"]}, block_size=BLOCK_SIZE)


# Reading: each gives blocks of the same features.


def maskdata(files: Files) -> tf.data.Dataset:
    return md.read_tfrecord(files.directory / "rows", block_size=BLOCK_SIZE)


def row_by_row(files: Files) -> tf.data.Dataset:
    """tensorflow.org/tutorials/load_data/tfrecord, then batched."""
    rows = tf.data.TFRecordDataset(files.records).map(
        lambda record: tf.io.parse_single_example(record, FEATURES),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return rows.ragged_batch(BLOCK_SIZE)


def batches_by_hand(files: Files) -> tf.data.Dataset:
    """The fastest that tf.data allows: nothing is verified but each record by itself."""
    return (
        tf.data.TFRecordDataset(files.records)
        .batch(BLOCK_SIZE)
        .map(lambda some: tf.io.parse_example(some, FEATURES), num_parallel_calls=tf.data.AUTOTUNE)
    )


def batches_by_hand_parallel(files: Files) -> tf.data.Dataset:
    """The same with `num_parallel_reads`, as tensorflow.org/guide/data_performance advises."""
    return (
        tf.data.TFRecordDataset(files.records, num_parallel_reads=tf.data.AUTOTUNE)
        .batch(BLOCK_SIZE)
        .map(lambda some: tf.io.parse_example(some, FEATURES), num_parallel_calls=tf.data.AUTOTUNE)
    )


def parquet(files: Files) -> tf.data.Dataset:
    return md.read_parquet(files.directory / "rows.parquet", block_size=BLOCK_SIZE)


def json_lines(files: Files) -> tf.data.Dataset:
    return md.read_jsonl(files.directory / "rows.jsonl", block_size=BLOCK_SIZE)


def json_by_hand(files: Files) -> tf.data.Dataset:
    """Python's `json`, then `from_rows`."""
    with (files.directory / "rows.jsonl").open() as lines:
        rows = [json.loads(line) for line in lines]
    columns = {name: [row[name] for row in rows] for name in ("ids", "scores", "label")}
    return md.from_rows(columns, block_size=BLOCK_SIZE)


READERS: dict[str, Callable[[Files], tf.data.Dataset]] = {
    "read_tfrecord": maskdata,
    "TFRecordDataset, parse_single_example": row_by_row,
    "TFRecordDataset, batch, parse_example": batches_by_hand,
    "the same, num_parallel_reads": batches_by_hand_parallel,
    "read_parquet": parquet,
    "read_jsonl": json_lines,
    "json.loads, from_rows": json_by_hand,
}


def read(reader: Callable[[Files], tf.data.Dataset], files: Files) -> dict[str, int]:
    """Read all rows, and return sums of them that do not depend on their order."""

    def add(sums: dict[str, tf.Tensor], block: dict[str, Any]) -> dict[str, tf.Tensor]:
        found = {
            "rows": tf.size(block["label"]),
            "ids": tf.reduce_sum(tf.cast(block["ids"].values, tf.int64)),
            "label": tf.reduce_sum(tf.cast(block["label"], tf.int64)),
            "steps": tf.size(block["scores"].values),
        }
        return {name: sums[name] + tf.cast(found[name], tf.int64) for name in sums}

    zeros = dict.fromkeys(("rows", "ids", "label", "steps"), np.int64(0))
    return {name: int(total) for name, total in reader(files).reduce(zeros, add).items()}


# Writing.


def write_ours(files: Files, directory: Path) -> None:
    md.write_tfrecord(blocks(files), directory / "rows", shards=SHARDS)


def write_by_hand(files: Files, directory: Path) -> None:
    """One `tf.train.Example` after the other, as in tensorflow.org/tutorials/load_data/tfrecord."""
    arrays, train = files.arrays, tf.train
    writers = [tf.io.TFRecordWriter(str(directory / f"{i}.tfrecord")) for i in range(SHARDS)]
    for row in range(files.num_rows):
        steps = slice(arrays["splits"][row], arrays["splits"][row + 1])
        feature = {
            "ids": train.Feature(int64_list=train.Int64List(value=arrays["ids"][steps])),
            "scores": train.Feature(float_list=train.FloatList(value=arrays["scores"][steps])),
            "label": train.Feature(int64_list=train.Int64List(value=[row])),
        }
        example = train.Example(features=train.Features(feature=feature))
        writers[row % SHARDS].write(example.SerializeToString())
    for writer in writers:
        writer.close()


WRITERS = {"write_tfrecord": write_ours, "TFRecordWriter, Example by Example": write_by_hand}


Times = dict[str, tuple[float, float]]
"""Wall and CPU microseconds a row, by contender; ours comes first."""


def measure(contenders: dict[str, Callable[[], object]], num_rows: int, rounds: int) -> Times:
    """Return the medians of each contender; they take turns."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: tuple(statistics.median(times) * 1e6 / num_rows for times in zip(*some, strict=True))
        for name, some in taken.items()
    }


def compare(num_rows: int, rounds: int) -> tuple[Times, Times]:
    """Check that all read the same rows; return what reading and writing took."""
    with tempfile.TemporaryDirectory() as parent:
        files = make(Path(parent), num_rows)
        first, *others = [read(reader, files) for reader in READERS.values()]
        assert first["rows"] == num_rows
        assert all(sums == first for sums in others), (first, others)
        readers = {name: (lambda r=reader: read(r, files)) for name, reader in READERS.items()}
        reading = measure(readers, num_rows, rounds)

        def write(writer: Callable[[Files, Path], None]) -> None:
            with tempfile.TemporaryDirectory() as directory:
                writer(files, Path(directory))

        writers = {name: (lambda w=writer: write(w)) for name, writer in WRITERS.items()}
        return reading, measure(writers, num_rows, rounds)


def table_of(times: Times) -> list[str]:
    """Tell what each contender took, and how many times faster ours is."""
    ours, *_ = times
    rows = [
        [f"**{name}**" if name == ours else name, f"{wall:.2f}", f"{cpu:.2f}", f"{ratio:.1f}"]
        for name, (wall, cpu) in times.items()
        for ratio in [wall / times[ours][0]]
    ]
    return table("lrrr", ["", "µs a row", "CPU µs a row", f"{ours} is faster by"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    what = f"{options.rows:,} rows of about 24 ids and 24 scores, the median of {options.rounds} rounds. "
    what += f"TensorFlow {tf.__version__}, pyarrow {pa.__version__}, {os.cpu_count()} cores of {platform.machine()}."
    reading, writing = compare(options.rows, options.rounds)
    tables = {"rows": [what], "reading": table_of(reading), "writing": table_of(writing)}
    for region, lines in tables.items():
        print("", *lines, sep="\n")
        write_region(options.page, region, lines)


if __name__ == "__main__":
    main()
