"""One seed for a pipeline: the same batches in every process, whatever else it did; other ones each epoch."""

import itertools
import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import hashlib, json, sys
import numpy as np
import tensorflow as tf

disturbance = int(sys.argv[1])
if disturbance:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.random.set_seed(disturbance)
    np.random.seed(disturbance)

import maskdata as md
from maskdata.data.split_by_key import SplitByKey

SEED = 5
lengths = [(7 * n) % 11 for n in range(120)]
rows = md.from_rows(
    {
        "ids": [[n] * (length + 1) for n, length in enumerate(lengths)],
        "user": [f"user {n % 40}" for n in range(120)],
    },
    block_size=16,
)
if disturbance:  # names, counters and generators of all kinds are elsewhere now
    tf.random.uniform([3])
    for n in range(3):
        list(rows.shuffle(9).apply(md.Shuffle(9, seed=n)).apply(md.RaggedBatch(5)))

train, validation = (SplitByKey("user", *part, seed=SEED) for part in ((0.0, 0.8), (0.8, 1.0)))
bucket = md.BucketBySequenceLength("ids", [4, 8], [6, 4, 3], leftovers="mixed")


def shuffled(**settings):
    return rows.apply(train).apply(md.Shuffle(50, seed=SEED, **settings))


def read(dataset):
    batches = []
    for batch in dataset:
        values = batch["ids"]
        flat = values.flat_values if isinstance(values, tf.RaggedTensor) else tf.reshape(values, [-1])
        digest = hashlib.sha256(b"".join(np.asarray(t).tobytes() for t in tf.nest.flatten(batch, expand_composites=True) if t.dtype != tf.string))
        batches.append([flat.numpy().tolist(), digest.hexdigest()])
    return batches


def passes(dataset):
    return [read(dataset) for _ in range(3)]


plan = md.BatchPlan(rows.apply(train), "ids", num_buckets=3, max_tokens=24, seed=SEED)
result = {
    "buckets": passes(shuffled().apply(bucket).apply(md.ToDense(pad_values={"ids": -1}))),
    "packed": passes(shuffled().map(lambda block: {"ids": block["ids"]}).apply(md.Pack({"ids": 16}, batch_size=4, pad_values=-1))),
    "epochs": [read(shuffled(epoch=epoch).apply(bucket)) for epoch in range(3)],
    "plan": passes(plan.dataset()),
    "validation": read(rows.apply(validation)),
    "stock": [read(rows.unbatch().shuffle(50, seed=SEED).ragged_batch(8)) for _ in range(3)],
}
print(json.dumps(result))
"""

Epochs = list[list[Any]]


def run(disturbance: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, disturbance]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)


@pytest.fixture(scope="module")
def processes() -> list[dict[str, Epochs]]:
    """Return what two processes read, the second of which did a great deal before."""
    return [json.loads(run(disturbance).stdout) for disturbance in ("0", "77")]


def rows_of(epoch: list[Any]) -> set[int]:
    return {step for values, _ in epoch for step in values} - {-1}


def check_epochs(epochs: Epochs, others: Epochs) -> None:
    assert epochs == others, "another process reads other batches"
    for one, other in itertools.combinations(epochs, 2):
        assert one != other, "two epochs have the same order"
        assert rows_of(one) == rows_of(other)


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", ["buckets", "packed", "epochs", "plan"])
def test_batches_depend_on_the_seed_and_the_epoch_alone(
    pipeline: str, processes: list[dict[str, Epochs]]
) -> None:
    undisturbed, disturbed = processes
    check_epochs(undisturbed[pipeline], disturbed[pipeline])
    assert undisturbed["validation"] == disturbed["validation"]
    held_out = rows_of(undisturbed["validation"])
    assert held_out
    assert rows_of(undisturbed[pipeline][0]) == set(range(120)) - held_out


@pytest.mark.slow
def test_the_law_catches_the_shuffle_of_tf_data(processes: list[dict[str, Epochs]]) -> None:
    """Its seed is mixed with the global one, and a dataset that is built anew begins its epochs anew."""
    undisturbed, disturbed = (run["stock"] for run in processes)
    with pytest.raises(AssertionError, match="another process"):
        check_epochs(undisturbed, disturbed)
    with pytest.raises(AssertionError, match="the same order"):
        check_epochs(undisturbed, undisturbed)
