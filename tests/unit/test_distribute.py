"""Distribute without a service: what it refuses, and what it hears of streams that are not whole."""

import itertools
import re
import socket
import time
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data._heard import MISSED_ROUNDS, Wanted, check_streams
from maskdata.data._service_rules import refuse_unsafe
from maskdata.data._streams import CLOSE, ELEMENT, OPEN, label_stream, nothing_of
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


UNSAFE = {
    "stateful random": (NUMBERS.map(lambda n: tf.random.uniform([])), "random numbers must come"),
    "random in interleave": (
        NUMBERS.interleave(lambda n: NUMBERS.map(lambda n: tf.random.normal([]))),
        "random numbers must come",
    ),
    "numpy_function": (
        NUMBERS.map(lambda n: tf.numpy_function(lambda n: n, [n], tf.int64)),
        "must be TensorFlow only",
    ),
    "from_generator": (generator(), "must be TensorFlow only"),
    "DenseHashTable": (dense_table(), "tables must be part of the graph"),
    "zip": (tf.data.Dataset.zip((NUMBERS, NUMBERS)), "must not be zipped"),
    "enumerate": (NUMBERS.enumerate(), "must not be zipped"),
    "shuffle, bucket": (by_length(NUMBERS.shuffle(3)), "must not stand before"),
    "repeat, bucket": (by_length(NUMBERS.repeat(2).prefetch(1)), "must not stand before"),
    "take": (NUMBERS.map(lambda n: n + 1).take(3), "must not be used.*'TakeDataset'"),
    "take of range": (NUMBERS.take(3), "must not be used.*'TakeDataset'"),
    "skip": (NUMBERS.skip(3), "must not be used.*'SkipDataset'"),
    "shard": (NUMBERS.shard(2, 0), "must not be used.*'ShardDataset'"),
    "unique": (NUMBERS.unique(), "must not be used.*'UniqueDataset'"),
    "take_while": (NUMBERS.take_while(lambda n: n < 3), "must not be used"),
    "drop_remainder": (NUMBERS.batch(2, drop_remainder=True), "drop_remainder must be False"),
    "padded drop_remainder": (
        NUMBERS.padded_batch(2, drop_remainder=True),
        "drop_remainder must be False",
    ),
    "cache": (NUMBERS.cache("somewhere"), "a cache must not be a file"),
    "csv": (
        tf.data.experimental.CsvDataset("a.csv", [tf.int64], header=True),
        "each source must be one",
    ),
    "counted": (ROWS.apply(BUCKET).apply(md.CountBatches()), "must not be asserted"),
    "seeded shuffle": (NUMBERS.shuffle(3, seed=1), "order must not change with each pass"),
    "Shuffle": (ROWS.apply(md.Shuffle(3, seed=1)), "order must not change with each pass"),
    "BatchPlan": (PLAN.dataset(), "order must not change with each pass"),
    "no end": (NUMBERS.repeat(), "the dataset must have an end"),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_pipelines_that_lose_rows_are_refused(name: str) -> None:
    dataset, message = UNSAFE[name]
    with pytest.raises(ValueError, match=message):
        dataset.apply(Distribute(SERVICE))


SAFE = {
    "zip in a file": NUMBERS.interleave(lambda n: tf.data.Dataset.zip((NUMBERS, NUMBERS)).take(2)),
    "one order": ROWS.apply(md.Shuffle(3, seed=1, reshuffle_each_iteration=False)),
    "unseeded shuffle": NUMBERS.shuffle(3),
    "buckets": ROWS.apply(BUCKET),
    "mixed": ROWS.apply(md.BucketBySequenceLength("ids", [2], [2, 2], leftovers="mixed")),
    "bucket, shuffle": by_length(NUMBERS).shuffle(3),
    "memory": NUMBERS.cache().batch(2),
    "table": ROWS.map(lambda b: {"ids": tf.strings.as_string(b["ids"])}).apply(
        md.Lookup("ids", md.Vocabulary(["1", "2"]))
    ),
    "pack": ROWS.apply(md.Pack({"ids": 4}, 2)),
    "sample": tf.data.Dataset.sample_from_datasets([NUMBERS, NUMBERS], seed=1),
}


@pytest.mark.parametrize("name", SAFE)
def test_other_pipelines_are_not_refused(name: str) -> None:
    refuse_unsafe("test", SAFE[name], is_endless=False)


def test_an_endless_pipeline_may_change_its_order_with_each_pass() -> None:
    refuse_unsafe("test", ROWS.apply(md.Shuffle(3, seed=1)).repeat(), is_endless=True)


# Streams


def elements(*labels: tuple[int, int, int]) -> tf.data.Dataset:
    """Return elements of two rows each, with these labels."""
    made = tf.data.Dataset.from_tensor_slices(tf.constant(labels, tf.int64, shape=[len(labels), 3]))
    return made.map(lambda label: ({"n": tf.stack([label[1]] * 2)}, label))


def wanted(**changed: Any) -> Wanted:
    usual = {"timeout_s": 9.0, "num_rows": None, "every": 1, "is_shared": False}
    return Wanted(who="test", **(usual | changed))


def read(dataset: tf.data.Dataset, **changed: Any) -> list[int]:
    return [int(element["n"][0]) for element in check_streams(dataset, wanted(**changed))]


FIRST = [(7, 0, OPEN), (7, 1, ELEMENT), (7, 2, ELEMENT), (7, 3, CLOSE)]
SECOND = [(8, 0, OPEN), (8, 1, ELEMENT), (8, 2, CLOSE)]
MIXED = [FIRST[0], SECOND[0], FIRST[1], SECOND[1], SECOND[2], *FIRST[2:]]


def test_streams_that_are_whole_give_their_elements() -> None:
    assert read(elements(*MIXED), num_rows=6) == [1, 1, 2]


@pytest.mark.parametrize(
    ("labels", "arguments", "message"),
    [
        (FIRST[:3], {}, r"some are missing: workers died .*\] \[1\]"),
        ([*FIRST, *SECOND[:1]], {}, "some are missing"),
        ([FIRST[0], *FIRST[2:]], {}, r"all elements .* must arrive.*\] \[1\]"),
        (FIRST[1:], {}, "all elements that a worker sends must arrive"),
        ([FIRST[0], FIRST[1], FIRST[1]], {}, "all elements that a worker sends must arrive"),
        ([], {}, "read to its end by someone else"),
        ([], {"is_shared": True}, "read to its end by someone else"),
        (FIRST, {"num_rows": 5}, r"as many rows must arrive as num_rows=5.* There came\] \[4\]"),
    ],
)
def test_streams_that_are_not_whole_are_an_error(
    labels: list[Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        read(elements(*labels), **arguments)


def test_a_shared_stream_may_come_in_part() -> None:
    assert read(elements(FIRST[2]), is_shared=True) == [2]


def test_silence_is_an_error_and_slow_reading_is_none() -> None:
    whole = elements(*FIRST)
    never_ends = whole.concatenate(NUMBERS.repeat().filter(lambda n: n < 0).map(lambda n: _mark()))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"within timeout_s=0.5 seconds"):
        read(never_ends, timeout_s=0.5)
    seen = []
    for element in check_streams(elements(*MIXED), wanted(timeout_s=0.2)):
        time.sleep(0.5)
        seen.append(element)
    assert len(seen) == 3


def _mark() -> Any:
    return {"n": tf.zeros([2], tf.int64)}, tf.zeros([3], tf.int64)


def test_coordinated_readers_notice_a_worker_that_is_gone() -> None:
    first = [(7, place, ELEMENT) for place in range(1, 1 + 80, 2)]
    second = [(8, place, ELEMENT) for place in range(1, 1 + 80, 2)]
    in_turn = [label for pair in zip(first, second, strict=True) for label in pair]
    reading = iter(check_streams(elements(*in_turn), wanted(every=2)))
    assert sum(1 for _ in zip(range(80), reading, strict=False)) == 80
    reading = iter(check_streams(elements(*in_turn[:8], *first[4:]), wanted(every=2)))
    few = itertools.islice(reading, 8 + 2 * MISSED_ROUNDS + 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="all workers must stay"):
        list(few)


@pytest.mark.parametrize("as_tuple", [False, True])
def test_labels_count_and_each_pass_has_another_stream(*, as_tuple: bool) -> None:
    dataset = NUMBERS.map(lambda n: (n,)) if as_tuple else NUMBERS
    labelled = label_stream(dataset, has_end=True)
    assert labelled.element_spec[0] == dataset.element_spec
    passes = [np.array([label.numpy() for _, label in labelled]) for _ in range(2)]
    for labels in passes:
        assert labels[:, 1].tolist() == list(range(11))
        assert labels[:, 2].tolist() == [OPEN, *[ELEMENT] * 9, CLOSE]
        assert len(set(labels[:, 0])) == 1
    assert passes[0][0, 0] != passes[1][0, 0]


def test_nothing_fits_every_spec() -> None:
    specs = {
        "static": tf.TensorSpec([3, None, 2], tf.string),
        "scalar": tf.TensorSpec([], tf.bool),
        "ragged": tf.RaggedTensorSpec([None, None], tf.int64),
        "rows": tf.RaggedTensorSpec([3, None, 2], tf.float32, ragged_rank=1),
        "nested": tf.RaggedTensorSpec([None, None, None], tf.int64, row_splits_dtype=tf.int32),
    }
    nothing = nothing_of(specs)
    for name, spec in specs.items():
        assert spec.is_compatible_with(nothing[name]), name


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
