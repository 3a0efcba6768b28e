"""The tf.data service, in processes of its own: no row lost, none twice, and no loss in silence."""

import collections
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data import distribute
from maskdata.data.distribute import Distribute
from tests.distributed.service_cluster import Cluster

NUM_ROWS = 601
LENGTHS = np.random.default_rng(0).integers(0, 9, NUM_ROWS)
IDS = [[row] * length for row, length in enumerate(LENGTHS)]
NUMBERS = md.Vocabulary([str(n) for n in range(NUM_ROWS)])
FIRST_ID = 2  # the ids of padding and of unknown tokens come before


def in_memory() -> tf.data.Dataset:
    """Return small blocks, so that both workers get many of them."""
    return md.from_rows({"ids": IDS, "number": np.arange(NUM_ROWS)}, block_size=16)


def text(directory: Path) -> tf.data.Dataset:
    """Read three files, one of them empty."""
    paths = [directory / f"{number}.txt" for number in range(3)]
    for path, rows in zip(paths, (range(400), range(0), range(400, NUM_ROWS)), strict=True):
        path.write_text("".join(f"{row} and words\n" for row in rows))
    return md.read_text(paths, feature="ids", block_size=16)


def records(directory: Path) -> tf.data.Dataset:
    md.write_tfrecord(in_memory(), directory / "records", shards=3)
    return md.read_tfrecord(directory / "records", block_size=16)


def padded() -> tf.data.Dataset:
    rows = {"ids": np.ones([NUM_ROWS, 4]), "n": LENGTHS % 5, "number": np.arange(NUM_ROWS)}
    return md.from_rows(rows, block_size=16)


def heavy() -> tf.data.Dataset:
    frames = tf.RaggedTensor.from_row_lengths(tf.ones([LENGTHS.sum(), 80]), LENGTHS)
    rows = {"frames": frames, "ids": IDS, "number": np.arange(NUM_ROWS)}
    return md.from_rows(rows, block_size=16)


def single_rows() -> tf.data.Dataset:
    return tf.data.Dataset.range(NUM_ROWS).map(lambda n: {"number": n})


def chain(*transforms: Any) -> Any:
    return lambda directory: md.Chain(*transforms)(in_memory())


def bucket(**options: Any) -> md.BucketBySequenceLength:
    return md.BucketBySequenceLength("ids", [3, 6], **({"bucket_batch_sizes": [8, 4, 2]} | options))


ONE_ORDER = md.Shuffle(50, seed=1, reshuffle_each_iteration=False)
NEXT_STEP = md.NextStep("ids", into="targets")

PIPELINES: dict[str, Any] = {
    "read_text, Tokenize, Lookup, RaggedBatch": lambda directory: text(directory).apply(
        md.Chain(md.Tokenize("ids"), md.Lookup("ids", NUMBERS), md.RaggedBatch(7))
    ),
    "read_tfrecord, DropLong, SplitLong, PaddedBatch": lambda directory: records(directory).apply(
        md.Chain(md.DropLong({"ids": 8}), md.SplitLong(["ids"], length=4), md.PaddedBatch(7))
    ),
    "FromPadded, Truncate, NextStep": lambda directory: padded().apply(
        md.Chain(md.FromPadded("ids", lengths="n"), md.Truncate({"ids": 3}), NEXT_STEP)
    ),
    "RaggedBatch of single rows": lambda directory: single_rows().apply(md.RaggedBatch(7)),
    "bucket": chain(bucket()),
    "Shuffle, bucket of tokens, ToDense, FillRows": chain(
        ONE_ORDER, bucket(bucket_batch_sizes=None, max_tokens=40), md.ToDense(), md.FillRows(3)
    ),
    "mixed bucket, ToDense, ToKeras": chain(
        bucket(leftovers="mixed"), md.ToDense(), md.ToKeras(x=["ids", "ids_mask", "number"])
    ),
    "bucket of heavy rows": lambda directory: heavy().apply(bucket()),
    "Pack": chain(md.Pack({"ids": 12}, 4)),
    "Pack, first_fit": chain(md.Pack({"ids": 12}, 4, method="first_fit")),
}
"""All transforms of rows, in pipelines made from a directory to write to; row `n` is known by `n`."""


def row_numbers(element: Any) -> list[int]:
    """Return the number of each row of the data in an element: fillers and later windows are none."""
    element = element[0] if isinstance(element, tuple) else element
    if "number" not in element:
        return [int(n) - FIRST_ID for n in element["ids"].to_tensor()[:, 0]]
    numbers = element["number"]
    is_row = element.get("segment_mask", element.get("row_mask", tf.ones_like(numbers, tf.bool)))
    if "ids_window" in element:
        is_row = is_row & (element["ids_window"] == 0)
    return tf.boolean_mask(numbers, is_row).numpy().tolist()


def count(dataset: tf.data.Dataset) -> collections.Counter[int]:
    return collections.Counter(number for element in dataset for number in row_numbers(element))


EACH_ONCE = collections.Counter(range(NUM_ROWS))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(num_workers=2) as started:
        yield started


@pytest.fixture(scope="module")
def counts(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Read all pipelines, several at once: the service mostly waits."""

    directories = {name: tmp_path_factory.mktemp("data") for name in PIPELINES}  # not in threads

    def read(name: str) -> Any:
        try:
            pipeline = PIPELINES[name](directories[name])
            return count(pipeline.apply(Distribute(cluster.address, timeout_s=60)))
        except Exception as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(PIPELINES, pool.map(read, PIPELINES), strict=True))


@pytest.mark.parametrize("name", PIPELINES)
def test_each_row_comes_once(name: str, counts: dict[str, Any]) -> None:
    assert counts[name] == EACH_ONCE


def test_both_workers_make_rows_and_a_pipeline_that_forgets_the_end_is_caught(
    cluster: Cluster,
) -> None:
    # The fault that `carry_rows` avoids: one flag for all workers instead of one for each.
    flag = tf.data.Dataset.from_tensors(({"number": tf.zeros([0], tf.int64)}, True))
    block = tf.data.Dataset.range(NUM_ROWS).batch(16).map(lambda n: ({"number": n}, False))

    def carry(kept: tf.Tensor, element: Any) -> Any:
        rows, is_end = element
        rows = tf.concat([kept, rows["number"]], 0)
        num_kept = tf.where(is_end, 0, 1 + tf.size(rows) % 11)  # never nothing
        return rows[tf.size(rows) - num_kept :], {"number": rows[: tf.size(rows) - num_kept]}

    faulty = slowly(block.concatenate(flag)).scan(tf.zeros([0], tf.int64), carry)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"must arrive as num_rows={NUM_ROWS}"):
        count(faulty.apply(Distribute(cluster.address, num_rows=NUM_ROWS, timeout_s=60)))


def slowly(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return the dataset, 50 ms an element: so no worker is done before the others begin."""
    spec = dataset.element_spec
    slow = tf.raw_ops.SleepDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        sleep_microseconds=50_000,
        output_types=[
            tf.variant if isinstance(s, tf.RaggedTensorSpec) else s.dtype
            for s in tf.nest.flatten(spec)
        ],
        output_shapes=[
            tf.TensorShape(None) if isinstance(s, tf.RaggedTensorSpec) else s.shape
            for s in tf.nest.flatten(spec)
        ],
    )
    return tf.data.experimental.from_variant(slow, spec)


def test_every_epoch_is_whole_and_rows_from_workers_make_the_batches_of_one_machine(
    cluster: Cluster,
) -> None:
    rows = in_memory().apply(Distribute(cluster.address, num_rows=NUM_ROWS, timeout_s=60))
    make_batches = md.Chain(md.Shuffle(100, seed=1), bucket(), md.CountBatches())
    batches = make_batches(rows)
    assert int(batches.cardinality()) == int(make_batches(in_memory()).cardinality())
    for _ in range(2):
        assert count(batches) == EACH_ONCE


def test_a_job_is_read_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Distribute(cluster.address, job_name="shared", timeout_s=60)
    assert count(in_memory().apply(shared)) == EACH_ONCE
    with pytest.raises(ValueError, match="job_name must be new in this process, got 'shared'"):
        in_memory().apply(shared)
    stock = tf.data.experimental.service.distribute(
        tf.data.experimental.service.ShardingPolicy.DYNAMIC, cluster.address, job_name="shared"
    )
    assert not list(in_memory().apply(stock))
    # Another process knows nothing of the first one.
    monkeypatch.setattr(distribute, "_jobs_of_this_process", set())
    with pytest.raises(tf.errors.InvalidArgumentError, match="read to its end by someone else"):
        list(in_memory().apply(shared))


def test_consumers_in_rounds_get_the_same_padded_length(cluster: Cluster) -> None:
    batches = md.Chain(md.Shuffle(100, seed=1), bucket(), md.ToDense(), md.FillRows(multiple_of=2))(
        in_memory()
    ).repeat()

    def read(index: int) -> list[tuple[int, ...]]:
        consumer = Distribute(
            cluster.address, job_name="rounds", num_consumers=2, consumer_index=index, timeout_s=60
        )
        return [tuple(batch["ids"].shape) for batch in batches.apply(consumer).take(60)]

    with ThreadPoolExecutor(2) as pool:
        shapes = list(pool.map(read, range(2)))
    assert len(shapes[0]) == 60
    assert shapes[0] == shapes[1]
    assert len({length for _, length in shapes[0]}) > 3


@pytest.mark.slow
def test_no_loss_is_silent(cluster: Cluster) -> None:
    """The last test, because it leaves nothing of the cluster."""
    rows = slowly(in_memory())

    def read(disaster: Any) -> int:
        seen = 0
        for element in rows.apply(Distribute(cluster.address, timeout_s=5)):
            if seen == 0:
                threading.Thread(target=disaster).start()
            seen += len(row_numbers(element))
        return seen

    assert read(lambda: None) == NUM_ROWS

    def restart() -> None:
        cluster.kill(1)
        cluster.restart(1)

    with pytest.raises(tf.errors.InvalidArgumentError, match=r"some are missing|within timeout_s"):
        read(restart)
    cluster.wait()
    time.sleep(2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="within timeout_s=5"):
        read(lambda: cluster.kill(2))
    with pytest.raises(tf.errors.InvalidArgumentError, match="within timeout_s=5"):
        read(lambda: cluster.kill(0))
