"""Training that is killed, and ends where training ends that is not.

Each training is a process of its own. One runs to its end. Another is killed with `kill -9`, twice
in the middle of an epoch; each time the same call goes on where it was saved. At the end the
weights of both are compared, bit for bit.

    python examples/resume.py
"""

import argparse
import hashlib
import multiprocessing
import os
import signal
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EPOCHS, SAVE_FREQ = 3, 5

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["maskdata"])  # importing takes seconds: once for all trainings


def train(directory: Path, kill_at: int, results: multiprocessing.SimpleQueue) -> None:
    """Train a small tagger; kill this process at the end of step `kill_at`."""
    import keras
    import numpy as np
    import tensorflow as tf

    import maskdata as md

    random = np.random.default_rng(0)
    lengths = random.integers(1, 30, 600)
    ids = tf.RaggedTensor.from_row_lengths(random.integers(0, 50, lengths.sum()), lengths)
    rows = md.from_rows({"ids": ids, "tags": ids % 5})
    plan = md.BatchPlan(rows, ["ids", "tags"], num_buckets=4, max_tokens=1024, seed=0)
    prepare = md.Chain(
        md.ToDense(lengths=plan.buckets.lengths),
        md.ToKeras(x=["ids", "ids_mask"], y="tags", sample_weight="tags_mask"),
    )

    keras.utils.set_random_seed(0)
    ids = keras.Input([None], dtype="int64", name="ids")
    mask = keras.Input([None], dtype="int8", name="ids_mask")
    h = md.layers.AttachMask()([keras.layers.Embedding(50, 16)(ids), mask])
    h = keras.layers.GRU(16, return_sequences=True)(keras.layers.Dropout(0.3)(h))
    model = keras.Model([ids, mask], keras.layers.Dense(5)(h))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), **md.compile_args(loss))

    def kill(batch: int, logs: object) -> None:
        if int(model.optimizer.iterations) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    history = md.Resumable(directory, save_freq=SAVE_FREQ).fit(
        model,
        plan,
        prepare,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=kill)],
    )
    weights = b"".join(weight.tobytes() for weight in model.get_weights())
    losses = ", ".join(f"{loss:.4f}" for loss in history.history["token_loss"])
    results.put(
        f"{int(model.optimizer.iterations)} steps, loss of each epoch {losses}\n"
        f"weights {hashlib.sha256(weights).hexdigest()[:16]}"
    )


def run(directory: Path, kill_at: int = 0) -> str:
    """Train in a new process; return its results, which are empty if it was killed."""
    results = processes.SimpleQueue()
    training = processes.Process(target=train, args=(directory, kill_at, results))
    training.start()
    training.join()
    if training.exitcode not in (0, -signal.SIGKILL):
        raise SystemExit(training.exitcode)
    saved = max(path.name for path in directory.iterdir() if path.name.isdigit())
    fate = f"killed at the end of step {kill_at}" if training.exitcode else "ended"
    print(f"  {fate}; the newest save is of step {int(saved)}")
    return "" if results.empty() else results.get()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--kills", type=int, nargs="+", default=[8, 22], help="at the end of which steps to kill it"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print("Never interrupted:")
        whole = run(Path(directory) / "whole")
        print("Killed:")
        for kill_at in options.kills:
            run(Path(directory) / "killed", kill_at)
        resumed = run(Path(directory) / "killed")
    print(resumed)
    print("Bit for bit the same." if resumed == whole else f"NOT the same:\n{whole}")


if __name__ == "__main__":
    main()
