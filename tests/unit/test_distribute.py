"""Distribute without a service: what it refuses, and how it divides batches."""

import re
import socket
from typing import Any

import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data._service_rules import refuse_unsafe
from maskdata.data.distribute import Distribute, divide_batches

SERVICE = "grpc://localhost:5050"
NUMBERS = tf.data.Dataset.range(9)
ROWS = md.from_rows({"ids": [[1], [], [2, 3]]}, block_size=2)
BUCKET = md.BucketBySequenceLength("ids", [2], [2, 2])
PLAN = md.BatchPlan(ROWS, "ids", num_buckets=1, batch_size=2, seed=0)

# Arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"service": 7}, "service must be a str, got 7"),
        ({"service": "somewhere"}, "service must be the address of a dispatcher, got 'somewhere'"),
        ({"num_rows": -1}, "num_rows must be at least 0, got -1"),
        ({"timeout_s": 0}, "timeout_s must be above 0, got 0"),
        ({"timeout_s": "1 s"}, "timeout_s must be seconds, got '1 s'"),
        ({"job_name": ""}, "job_name must be a str, got ''"),
        ({"job_name": "a", "num_rows": 3}, "num_rows must be None with a job_name, got 3"),
        (
            {"num_consumers": 2, "consumer_index": 0},
            "job_name, num_consumers and consumer_index must be given together, got (None, 2, 0)",
        ),
        (
            {"job_name": "a", "num_consumers": 2, "consumer_index": 2},
            "consumer_index must be less than num_consumers=2, got 2",
        ),
    ],
)
def test_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(f"Distribute: {message}")):
        Distribute(**({"service": SERVICE} | arguments))


def test_a_dispatcher_that_does_not_answer_is_an_error_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = f"grpc://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(
            TimeoutError, match=r"must answer within timeout_s=0.5 .* no dispatcher"
        ):
            ROWS.apply(Distribute(nobody, timeout_s=0.5))
    with pytest.raises(TimeoutError, match=r"must answer within timeout_s=0.5 .* Start it"):
        ROWS.apply(Distribute(nobody, timeout_s=0.5))


# Pipelines


def dense_table() -> tf.data.Dataset:
    table = tf.lookup.experimental.DenseHashTable(tf.int64, tf.int64, -1, -2, -3)
    return NUMBERS.map(table.lookup)


def generator() -> tf.data.Dataset:
    return tf.data.Dataset.from_generator(
        lambda: iter([1]), output_signature=tf.TensorSpec([], tf.int64)
    )


def by_length(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return dataset.map(lambda n: tf.range(n)).bucket_by_sequence_length(tf.size, [4], [2, 2])


UNSAFE = {  # name -> what makes a dataset, the words of the refusal
    "stateful random": (
        lambda: NUMBERS.map(lambda n: tf.random.uniform([])),
        "random numbers must come",
    ),
    "random in interleave": (
        lambda: NUMBERS.interleave(lambda n: NUMBERS.map(lambda n: tf.random.normal([]))),
        "random numbers must come",
    ),
    "numpy_function": (
        lambda: NUMBERS.map(lambda n: tf.numpy_function(lambda n: n, [n], tf.int64)),
        "must be TensorFlow only",
    ),
    "from_generator": (generator, "must be TensorFlow only"),
    "DenseHashTable": (dense_table, "tables must be part of the graph"),
    "zip": (lambda: tf.data.Dataset.zip((NUMBERS, NUMBERS)), "must not be zipped"),
    "enumerate": (NUMBERS.enumerate, "must not be zipped"),
    "shuffle, bucket": (lambda: by_length(NUMBERS.shuffle(3)), "must not stand before"),
    "repeat, bucket": (lambda: by_length(NUMBERS.repeat(2).prefetch(1)), "must not stand before"),
    "take": (lambda: NUMBERS.map(lambda n: n + 1).take(3), "must not be used.*'TakeDataset'"),
    "take of range": (lambda: NUMBERS.take(3), "must not be used.*'TakeDataset'"),
    "skip": (lambda: NUMBERS.skip(3), "must not be used.*'SkipDataset'"),
    "shard": (lambda: NUMBERS.shard(2, 0), "must not be used.*'ShardDataset'"),
    "unique": (lambda: NUMBERS.unique(), "must not be used.*'UniqueDataset'"),
    "take_while": (lambda: NUMBERS.take_while(lambda n: n < 3), "must not be used"),
    "drop_remainder": (
        lambda: NUMBERS.batch(2, drop_remainder=True),
        "drop_remainder must be False",
    ),
    "padded drop_remainder": (
        lambda: NUMBERS.padded_batch(2, drop_remainder=True),
        "drop_remainder must be False",
    ),
    "cache": (lambda: NUMBERS.cache("somewhere"), "a cache must not be a file"),
    "csv": (
        lambda: tf.data.experimental.CsvDataset("a.csv", [tf.int64], header=True),
        "each source must be one",
    ),
    "counted": (lambda: ROWS.apply(BUCKET).apply(md.CountBatches()), "must not be asserted"),
    "seeded shuffle": (lambda: NUMBERS.shuffle(3, seed=1), "order must not change with each pass"),
    "Shuffle": (lambda: ROWS.apply(md.Shuffle(3, seed=1)), "order must not change with each pass"),
    "BatchPlan": (PLAN.dataset, "order must not change with each pass"),
    "no end": (NUMBERS.repeat, "the dataset must have an end"),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_pipelines_that_lose_rows_are_refused(name: str) -> None:
    make, message = UNSAFE[name]
    dataset = make()
    with pytest.raises(ValueError, match=message):
        dataset.apply(Distribute(SERVICE))


SAFE = {
    "zip in a file": lambda: NUMBERS.interleave(
        lambda n: tf.data.Dataset.zip((NUMBERS, NUMBERS)).take(2)
    ),
    "one order": lambda: ROWS.apply(md.Shuffle(3, seed=1, reshuffle_each_iteration=False)),
    "unseeded shuffle": lambda: NUMBERS.shuffle(3),
    "buckets": lambda: ROWS.apply(BUCKET),
    "mixed": lambda: ROWS.apply(md.BucketBySequenceLength("ids", [2], [2, 2], leftovers="mixed")),
    "bucket, shuffle": lambda: by_length(NUMBERS).shuffle(3),
    "memory": lambda: NUMBERS.cache().batch(2),
    "table": lambda: ROWS.map(lambda b: {"ids": tf.strings.as_string(b["ids"])}).apply(
        md.Lookup("ids", md.Vocabulary(["1", "2"]))
    ),
    "pack": lambda: ROWS.apply(md.Pack({"ids": 4}, 2)),
    "sample": lambda: tf.data.Dataset.sample_from_datasets([NUMBERS, NUMBERS], seed=1),
}


@pytest.mark.parametrize("name", SAFE)
def test_other_pipelines_are_not_refused(name: str) -> None:
    refuse_unsafe("test", SAFE[name](), is_endless=False)


def test_an_endless_pipeline_may_change_its_order_with_each_pass() -> None:
    refuse_unsafe("test", ROWS.apply(md.Shuffle(3, seed=1)).repeat(), is_endless=True)


# Coordinated reads


@pytest.mark.parametrize("as_tuple", [False, True])
def test_batches_are_divided_among_the_consumers(*, as_tuple: bool) -> None:
    batches = tf.data.Dataset.from_tensors({"n": tf.reshape(tf.range(12), [6, 2])})
    batches = batches.map(lambda batch: (batch, batch["n"][:, 0])) if as_tuple else batches
    divided = divide_batches(batches, 3)
    found = [(batch[0] if as_tuple else batch)["n"].numpy().tolist() for batch in divided]
    assert found == [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9], [10, 11]]]


def test_batches_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(ValueError, match="batches must be dense for coordinated reads"):
        divide_batches(ROWS, 2)
    batches = tf.data.Dataset.from_tensors({"n": tf.range(5)})
    message = r"must divide by num_consumers=2.* Put FillRows\(2\) after ToDense"
    with pytest.raises(ValueError, match=message):
        divide_batches(batches, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(divide_batches(tf.data.Dataset.range(5).batch(5).map(lambda n: {"n": n}), 2))
    coordinated = Distribute(SERVICE, job_name="a", num_consumers=2, consumer_index=0)
    with pytest.raises(ValueError, match="must have no end for coordinated reads"):
        batches.apply(coordinated)
