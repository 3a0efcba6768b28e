"""Text to files of records to training: prepare once, train from shards, know what is lost.

Rows are lines of Python's own standard library, steps are words, the target of each is the word after
it. The first half writes the ids of all rows to four TFRecord files. The second half could run on
another machine: it reads nothing but that directory, plans its buckets from the row lengths in
the manifest and trains. In the end a byte of a file is changed, and the script shows what is said.

    python examples/shards.py
"""

import os
import sysconfig
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import maskdata as md

NUM_FILES, SHARDS, EPOCHS = 20, 4, 2

console = Console(highlight=False, markup=False, width=100)


def prepare(directory: Path) -> tuple[md.Vocabulary, float]:
    """Write the ids of all lines with at least two words; return the vocabulary and the seconds."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:NUM_FILES]
    words = md.read_text(files).apply(md.Tokenize("text", into="words"))
    lines = words.map(lambda rows: keep(rows["words"], rows["words"].row_lengths() > 1))
    vocabulary = md.Vocabulary.build(lines, "words", max_size=2_000)
    to_ids = md.Chain(md.Lookup("words", vocabulary), md.NextStep("words", into="targets"))
    start = time.perf_counter()
    md.write_tfrecord(to_ids(lines), directory, shards=SHARDS)
    return vocabulary, time.perf_counter() - start


def keep(words: tf.RaggedTensor, is_kept: tf.Tensor) -> dict[str, tf.RaggedTensor]:
    return {"words": tf.ragged.boolean_mask(words, is_kept)}


def batches_of(directory: Path) -> tf.data.Dataset:
    """Return the batches of a directory; its manifest tells their lengths and their number."""
    plan = md.plan_buckets(md.read_manifest(directory).row_lengths, 6, max_tokens=4096)
    console.print(
        f"{plan.num_batches} batches are planned, {plan.efficiency:.0%} of them real steps"
    )
    to_batches = md.Chain(
        md.Shuffle(10_000, seed=0),
        md.BucketBySequenceLength(plan.feature, plan.bucket_boundaries, plan.bucket_batch_sizes),
        tf.data.experimental.assert_cardinality(plan.num_batches),
        md.ToDense(lengths=plan.lengths),
        md.ToKeras(x=["words", "words_mask"], y="targets", sample_weight="targets_mask"),
    )
    return to_batches(md.read_tfrecord(directory))


def build_model(vocabulary_size: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    words = keras.Input([None], dtype="int64", name="words")
    mask = keras.Input([None], dtype="int8", name="words_mask")
    h = md.layers.AttachMask()([keras.layers.Embedding(vocabulary_size, 32)(words), mask])
    h = keras.layers.GRU(48, return_sequences=True)(h)
    model = keras.Model(
        {"words": words, "words_mask": mask}, keras.layers.Dense(vocabulary_size)(h)
    )
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), **md.compile_args(loss=cross_entropy))
    return model


def train(directory: Path, vocabulary_size: int) -> None:
    model = build_model(vocabulary_size)
    history = model.fit(batches_of(directory), epochs=EPOCHS, verbose=0, shuffle=False).history
    losses = " ".join(f"{loss:.3f}" for loss in history["token_loss"])
    console.print(f"{int(model.optimizer.iterations)} optimizer steps, loss by epoch: {losses}")


def change_a_byte(directory: Path) -> None:
    path = directory / md.read_manifest(directory).shards[1].file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def show_what_is_lost(directory: Path) -> None:
    try:
        md.describe(md.read_tfrecord(directory))
    except tf.errors.InvalidArgumentError as error:
        _, _, words = error.message.partition("assertion failed: ")
        console.print("\nA byte was changed. Reading:", words.splitlines()[0])
    check = md.check_tfrecord(directory)
    rest = md.describe(md.read_tfrecord(directory, skip=check))
    console.print(f"\nChecking: {check}\n\nThe other {rest.rows:,} rows can be read.")


def main() -> None:
    with tempfile.TemporaryDirectory() as parent:
        directory = Path(parent) / "lines"
        vocabulary, seconds = prepare(directory)
        table = Table("file", "rows", "bytes")
        for shard in md.read_manifest(directory).shards:
            table.add_row(shard.file, f"{shard.num_rows:,}", f"{shard.num_bytes:,}")
        console.print(table)
        console.print(f"written in {seconds:.1f} s")
        train(directory, vocabulary.size)
        change_a_byte(directory)
        show_what_is_lost(directory)


if __name__ == "__main__":
    main()
