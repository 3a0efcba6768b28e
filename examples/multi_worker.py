"""Two processes train one model on one pipeline, and end where one process ends.

`fit` of Keras 3.15 refuses MultiWorkerMirroredStrategy (keras#20585), so this is a loop of one's
own. Every worker builds the same pipeline; tf.distribute gives each its rows of every batch, and
`TokenMean` divides by the weights of all workers' steps. Run it without arguments: it starts its
workers on this machine and compares them with a single process.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import keras
import numpy as np
import tensorflow as tf

import maskdata as md

NUM_WORKERS = 2
VOCABULARY_SIZE, NUM_TAGS = 50, 4


def make_batches() -> tf.data.Dataset:
    """Return the same batches in every process; their rows divide by the workers."""
    rng = np.random.default_rng(0)
    ids = [rng.integers(0, VOCABULARY_SIZE, rng.integers(1, 40)) for _ in range(301)]
    prepare = md.Chain(
        md.Shuffle(1000, seed=1),
        md.BucketBySequenceLength("ids", [10, 20], [51, 27, 13]),
        md.CountBatches(),
        md.ToDense(),
        md.FillRows(multiple_of=NUM_WORKERS),
        md.ToKeras(x=["ids", "ids_mask"], y="tags", sample_weight="tags_mask"),
    )
    options = tf.data.Options()  # every worker reads all batches and keeps its rows of each
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return prepare(
        md.from_rows({"ids": ids, "tags": [row % NUM_TAGS for row in ids]})
    ).with_options(options)


def make_model() -> keras.Model:
    """Return a tagger; the same weights in every process."""
    keras.utils.set_random_seed(0)
    ids = keras.Input([None], dtype="int64", name="ids")
    mask = keras.Input([None], dtype="int8", name="ids_mask")
    h = md.layers.AttachMask()([keras.layers.Embedding(VOCABULARY_SIZE, 8)(ids), mask])
    h = keras.layers.GRU(8, return_sequences=True)(h)
    return keras.Model({"ids": ids, "ids_mask": mask}, keras.layers.Dense(NUM_TAGS)(h))


def train(strategy: tf.distribute.Strategy) -> list[np.ndarray]:
    """Train for one epoch and return the weights."""
    with strategy.scope():
        model = make_model()
        optimizer = keras.optimizers.SGD(0.5)
        optimizer.build(model.trainable_variables)
        token_mean = md.losses.TokenMean(
            keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )

    def replica_step(x: dict[str, tf.Tensor], y: tf.Tensor, sample_weight: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = token_mean(y, model(x, training=True), sample_weight=sample_weight)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(
            gradients, model.trainable_variables
        )  # adds up the gradients of all replicas
        return loss

    batches = strategy.experimental_distribute_dataset(make_batches())

    @tf.function(input_signature=[batches.element_spec])  # traced once for all lengths
    def step(batch: tuple[tf.Tensor, ...]) -> tf.Tensor:
        # Each replica returns its part of the mean: the sum over its steps by the weights of all.
        return strategy.reduce("SUM", strategy.run(replica_step, args=batch), axis=None)

    losses = [float(step(batch)) for batch in batches]
    print(f"{len(losses)} steps, loss {losses[0]:.4f} to {losses[-1]:.4f}", flush=True)
    return model.get_weights()


def run_worker(output: str) -> None:
    np.savez(output, *train(tf.distribute.MultiWorkerMirroredStrategy()))


def start_workers(directory: Path) -> list[list[np.ndarray]]:
    """Start the workers on free ports of this machine and return the weights of each."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(NUM_WORKERS)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    workers = []
    for index in range(NUM_WORKERS):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        command = [sys.executable, __file__, str(directory / f"{index}.npz")]
        environment = os.environ | {"TF_CONFIG": json.dumps(cluster)}
        workers.append(
            subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        )
    for worker in workers:
        _, errors = worker.communicate(timeout=300)
        if worker.returncode:
            for other in workers:
                other.kill()
            raise RuntimeError(f"a worker failed:\n{errors}")
    return [list(np.load(directory / f"{index}.npz").values()) for index in range(NUM_WORKERS)]


def main() -> None:
    if len(sys.argv) > 1:
        run_worker(sys.argv[1])
        return
    with tempfile.TemporaryDirectory() as directory:
        workers = start_workers(Path(directory))
    alone = train(tf.distribute.get_strategy())
    for index, weights in enumerate(workers):
        apart = max(
            np.abs(a - b).max() / np.abs(b).max() for a, b in zip(weights, alone, strict=True)
        )
        print(f"worker {index}: weights within {apart:.1e} of those of one process, relative")


if __name__ == "__main__":
    main()
