"""From text to padded batches and masks: tf.data as people write it, against maskdata.

`python -m tests.speed.text_pipeline` prints the table of docs/performance.md.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import maskdata as md

BOUNDARIES = [8, 12, 16, 20, 26, 34, 48, 80]
BATCH_SIZES = [512, 340, 256, 204, 157, 120, 85, 51, 16]  # about 4096 slots a batch


def write_text(path: Path, num_lines: int, num_words: int, seed: int = 0) -> md.Vocabulary:
    """Write lines of about 24 words, lognormal lengths and Zipf words; return their vocabulary."""
    rng = np.random.default_rng(seed)
    words = np.array([f"w{n}" for n in range(num_words)])
    lengths = np.clip(rng.lognormal(np.log(24) - 0.18, 0.6, num_lines).astype(int), 0, 256)
    zipf = np.minimum(rng.zipf(1.2, lengths.sum()), num_words) - 1
    ends = np.cumsum(lengths)
    with path.open("w") as file:
        for start, end in zip(ends - lengths, ends, strict=True):
            file.write(" ".join(words[zipf[start:end]]) + "\n")
    return md.Vocabulary(words.tolist())


Pipeline = Callable[[Path, md.Vocabulary], tf.data.Dataset]


def stock(path: Path, vocabulary: md.Vocabulary) -> tf.data.Dataset:
    """tf.data the usual way: a map for each row, bucket_by_sequence_length, the mask from values."""
    table = vocabulary.table()
    rows = tf.data.TextLineDataset(str(path)).map(
        lambda line: table.lookup(tf.strings.split(line)), num_parallel_calls=tf.data.AUTOTUNE
    )
    return _stock_bucket(rows)


def stock_in_blocks(path: Path, vocabulary: md.Vocabulary) -> tf.data.Dataset:
    """Tokenising and looking up in blocks, but bucketing row by row."""
    return _stock_bucket(floor(path, vocabulary).unbatch().map(lambda row: row))


def _stock_bucket(rows: tf.data.Dataset) -> tf.data.Dataset:
    batches = rows.bucket_by_sequence_length(
        lambda row: tf.size(row), BOUNDARIES, BATCH_SIZES, padded_shapes=[None]
    )
    return batches.map(
        lambda ids: {"text": ids, "text_mask": tf.not_equal(ids, 0)},
        num_parallel_calls=tf.data.AUTOTUNE,
    ).prefetch(tf.data.AUTOTUNE)


def maskdata(path: Path, vocabulary: md.Vocabulary) -> tf.data.Dataset:
    """maskdata: the same batches in the same order, masks from row lengths."""
    prepare = md.Chain(
        md.Tokenize("text"),
        md.Lookup("text", vocabulary),
        md.BucketBySequenceLength("text", BOUNDARIES, BATCH_SIZES),
        md.ToDense(),
    )
    return prepare(md.read_text(path)).prefetch(tf.data.AUTOTUNE)


def floor(path: Path, vocabulary: md.Vocabulary) -> tf.data.Dataset:
    """Only the split and the lookup, in blocks of 4096: what no pipeline for this work can avoid."""
    table = vocabulary.table()

    def ids(lines: tf.Tensor) -> tf.RaggedTensor:
        tokens = tf.strings.split(lines)
        return tokens.with_values(table.lookup(tokens.values))

    lines = tf.data.TextLineDataset(str(path)).batch(4096)
    return lines.map(ids, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


CONTENDERS: dict[str, Pipeline] = {
    "tf.data, row by row": stock,
    "tf.data, tokens in blocks, bucket row by row": stock_in_blocks,
    "maskdata": maskdata,
    "split and lookup alone, in blocks (the floor)": floor,
}


def assert_same_batches(path: Path, vocabulary: md.Vocabulary) -> int:
    """Check that all contenders give the same batches in the same order; return their number."""
    ours = maskdata(path, vocabulary)
    for other in (stock, stock_in_blocks):
        num_batches = 0
        for mine, theirs in zip(ours, other(path, vocabulary), strict=True):
            for name in ("text", "text_mask"):
                np.testing.assert_array_equal(mine[name], theirs[name])
            num_batches += 1
    return num_batches


def measure(path: Path, vocabulary: md.Vocabulary, rounds: int) -> dict[str, float]:
    """Return the median seconds of each contender; they take turns in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, pipeline in CONTENDERS.items():
            dataset = pipeline(path, vocabulary)
            start = time.perf_counter()
            dataset.reduce(np.int64(0), lambda count, _: count + 1).numpy()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def print_table(num_lines: int, num_words: int, rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "text.txt"
        vocabulary = write_text(path, num_lines, num_words)
        num_batches = assert_same_batches(path, vocabulary)
        seconds = measure(path, vocabulary, rounds)
    ours = seconds["maskdata"]
    table = Table(
        title=f"{num_lines:,} lines to {num_batches:,} identical batches, {num_words:,} words; "
        f"median of {rounds}; TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"Python {platform.python_version()}"
    )
    for column in ("pipeline", "seconds", "rows a second", "maskdata is faster by"):
        table.add_column(column, justify="left" if column == "pipeline" else "right")
    for name, time_taken in seconds.items():
        table.add_row(
            name, f"{time_taken:.2f}", f"{num_lines / time_taken:,.0f}", f"{time_taken / ours:.2f}"
        )
    Console(width=120).print(table)
    return seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--words", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print_table(arguments.lines, arguments.words, arguments.rounds)
