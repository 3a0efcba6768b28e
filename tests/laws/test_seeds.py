"""One seed for a pipeline: the same batches in every process, whatever else it did; other ones each epoch."""

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data.split_by_key import SplitByKey
from tests.preloaded import run

SEED = 5
Epochs = list[list[Any]]


def make_rows() -> tf.data.Dataset:
    lengths = [(7 * n) % 11 for n in range(120)]
    return md.from_rows(
        {
            "ids": [[n] * (length + 1) for n, length in enumerate(lengths)],
            "user": [f"user {n % 40}" for n in range(120)],
        },
        block_size=16,
    )


def read(dataset: tf.data.Dataset) -> list[Any]:
    """Return of each batch its ids, and a digest of all its numbers."""
    batches = []
    for batch in dataset:
        ids = batch["ids"]
        ids = ids.flat_values if isinstance(ids, tf.RaggedTensor) else tf.reshape(ids, [-1])
        parts = tf.nest.flatten(batch, expand_composites=True)
        numbers = [part.numpy().tobytes() for part in parts if part.dtype != tf.string]
        batches.append([ids.numpy().tolist(), hashlib.sha256(b"".join(numbers)).hexdigest()])
    return batches


def read_all() -> dict[str, Any]:
    """Return three epochs of each pipeline that has a seed."""
    rows = make_rows()
    train, validation = (SplitByKey("user", *part, seed=SEED) for part in ((0.0, 0.8), (0.8, 1.0)))
    bucket = md.BucketBySequenceLength("ids", [4, 8], [6, 4, 3], leftovers="mixed")
    pack = md.Pack({"ids": 16}, batch_size=4, pad_values=-1)
    plan = md.BatchPlan(rows.apply(train), "ids", num_buckets=3, max_tokens=24, seed=SEED)

    def shuffled(**settings: Any) -> tf.data.Dataset:
        return rows.apply(train).apply(md.Shuffle(50, seed=SEED, **settings))

    def passes(dataset: tf.data.Dataset) -> Epochs:
        return [read(dataset) for _ in range(3)]

    return {
        "buckets": passes(shuffled().apply(bucket).apply(md.ToDense(pad_values={"ids": -1}))),
        "packed": passes(shuffled().map(lambda block: {"ids": block["ids"]}).apply(pack)),
        "epochs": [read(shuffled(epoch=epoch).apply(bucket)) for epoch in range(3)],
        "plan": passes(plan.dataset()),
        "plan's state": plan.state(2, 3),
        "validation": read(rows.apply(validation)),
        "stock": [read(rows.unbatch().shuffle(50, seed=SEED).ragged_batch(8)) for _ in range(3)],
    }


def read_elsewhere(path: Path) -> None:
    """Write what this process reads, after it did a great deal: it must be a new one."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.random.set_seed(77)
    np.random.seed(77)
    # Names, counters and generators of all kinds are elsewhere after this.
    tf.random.uniform([3])
    list(make_rows().shuffle(9).apply(md.Shuffle(9, seed=1)).apply(md.RaggedBatch(5)))
    path.write_text(json.dumps(read_all()))


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what this process reads, and another one, which did a great deal before."""
    there = tmp_path_factory.mktemp("seeds") / "there.json"
    assert run(read_elsewhere, there) == 0
    tf.random.set_seed(1)  # not that of the other process, which only the stock shuffle minds
    return [read_all(), json.loads(there.read_text())]


def rows_of(epoch: list[Any]) -> set[int]:
    return {step for values, _ in epoch for step in values} - {-1}


def check_epochs(epochs: Epochs, others: Epochs) -> None:
    assert epochs == others, "another process reads other batches"
    for one, other in itertools.combinations(epochs, 2):
        assert one != other, "two epochs have the same order"
        assert rows_of(one) == rows_of(other)


@pytest.mark.slow
def test_batches_and_states_depend_on_the_seed_and_the_epoch_alone(
    processes: list[dict[str, Any]],
) -> None:
    here, there = processes
    assert here["validation"] == there["validation"]
    held_out = rows_of(here["validation"])
    assert held_out
    for pipeline in ("buckets", "packed", "epochs", "plan"):
        check_epochs(here[pipeline], there[pipeline])
        assert rows_of(here[pipeline][0]) == set(range(120)) - held_out, pipeline
    assert here["plan's state"] == there["plan's state"]


@pytest.mark.slow
def test_the_law_catches_the_shuffle_of_tf_data(processes: list[dict[str, Any]]) -> None:
    """Its seed is mixed with the global one, and a dataset that is built anew begins its epochs anew."""
    here, there = (run["stock"] for run in processes)
    with pytest.raises(AssertionError, match="another process"):
        check_epochs(here, there)
    with pytest.raises(AssertionError, match="the same order"):
        check_epochs(here, here)
