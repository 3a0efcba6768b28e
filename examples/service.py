"""Two workers prepare the rows of an epoch, one process trains on them, and every row is counted.

On real machines each of these commands runs on one of its own, and the trainer needs only the address
of the dispatcher; docs/scale.md tells more. Run it without arguments.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import keras
import numpy as np
import tensorflow as tf

import maskdata as md

NUM_WORKERS, NUM_FILES, NUM_ROWS, EPOCHS = 2, 8, 2000, 3
TAGS = {"the": "D", "a": "D", "cat": "N", "dog": "N", "sat": "V", "slept": "V", "here": "A"}


@contextlib.contextmanager
def service() -> Iterator[str]:
    """Start a dispatcher and workers on free ports of this machine; yield the address."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(1 + NUM_WORKERS)]
    dispatcher, *workers = (f"localhost:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    commands = [["dispatcher", "--port", dispatcher.rpartition(":")[2]]]
    commands += [["worker", "--dispatcher", dispatcher, "--address", each] for each in workers]
    serve = [sys.executable, "-m", "maskdata.data.serve"]
    processes = [subprocess.Popen(serve + command) for command in commands]
    try:
        yield f"grpc://{dispatcher}"
    finally:
        for process in processes:
            process.kill()
            process.wait()


def write_text(directory: Path) -> list[Path]:
    """Write lines of words and their tags, in files that the workers can share."""
    random = np.random.default_rng(0)
    paths = [directory / f"{number}.txt" for number in range(NUM_FILES)]
    for path in paths:
        with path.open("w") as file:
            for _ in range(NUM_ROWS // NUM_FILES):
                words = random.choice(list(TAGS), random.integers(1, 12))
                file.write(" ".join(words) + "\t" + " ".join(TAGS[word] for word in words) + "\n")
    return paths


def split_columns(block: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    columns = tf.strings.split(block["text"], "\t").to_tensor(shape=[None, 2])
    return {"words": columns[:, 0], "tags": columns[:, 1]}


def make_model(words: md.Vocabulary, tags: md.Vocabulary) -> keras.Model:
    keras.utils.set_random_seed(0)
    ids = keras.Input([None], dtype="int64", name="words")
    mask = keras.Input([None], dtype="int8", name="words_mask")
    h = md.layers.AttachMask()([keras.layers.Embedding(words.size, 8)(ids), mask])
    model = keras.Model({"words": ids, "words_mask": mask}, keras.layers.Dense(tags.size)(h))
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = ["sparse_categorical_accuracy"]
    model.compile(keras.optimizers.Adam(0.05), **md.compile_args(cross_entropy, metrics=accuracy))
    return model


def main() -> None:
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory, service() as address:
        paths = write_text(Path(directory))
        words, tags = md.Vocabulary(list(TAGS)), md.Vocabulary(sorted(set(TAGS.values())))
        # What the workers run: from files to rows of ids.
        make_rows = md.Chain(
            md.Tokenize("words"),
            md.Tokenize("tags"),
            md.Lookup("words", words),
            md.Lookup("tags", tags),
            md.Distribute(address, num_rows=NUM_ROWS, timeout_s=120),
        )
        # What the trainer runs: from rows to batches.
        make_batches = md.Chain(
            md.Shuffle(buffer_size=1000, seed=1),
            md.BucketBySequenceLength("words", [4, 8], [64, 32, 16]),
            md.CountBatches(),
            md.ToDense(),
            md.ToKeras(x=["words", "words_mask"], y="tags", sample_weight="tags_mask"),
        )
        blocks = md.read_text(paths, block_size=100).map(split_columns)
        rows = make_rows(blocks)
        batches = make_batches(rows)
        arrived = sum(int(block["words"].nrows()) for block in rows)
        print(f"{arrived:,} of {NUM_ROWS:,} rows came from {NUM_WORKERS} workers")
        model = make_model(words, tags)
        history = model.fit(batches, epochs=EPOCHS, verbose=0).history
        for epoch, loss in enumerate(history["token_loss"], start=1):
            accuracy = history["sparse_categorical_accuracy"][epoch - 1]
            print(
                f"epoch {epoch}: {int(batches.cardinality())} steps, loss {loss:.3f}, accuracy {accuracy:.2%}"
            )
    print(f"{time.perf_counter() - begin:.0f} seconds in all")


if __name__ == "__main__":
    main()
