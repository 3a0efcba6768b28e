"""Datasets -> the totals of their tokens, several datasets at a time."""

import os
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from maskdata._progress import progress
from maskdata.data._blocks import map_blocks
from maskdata.data._token_counts import Counts, Partitions, TokenCounts, totals
from maskdata.data._types import Element


def count_block(values: tf.Tensor | tf.RaggedTensor) -> Counts:
    """Return the distinct tokens of a feature, and how often each occurs.

    >>> [tensor.numpy().tolist() for tensor in count_block(tf.constant([["a", "b"], ["b", "b"]]))]
    [[b'a', b'b'], [1, 3]]
    """
    flat = values.flat_values if isinstance(values, tf.RaggedTensor) else values
    distinct, _, counts = tf.unique_with_counts(tf.reshape(flat, [-1]), tf.int64)
    return distinct, counts


def count_blocks(dataset: tf.data.Dataset, feature: str) -> tf.data.Dataset:
    """Return a dataset of the counts of each block."""

    def count(block: Element) -> Counts:
        return count_block(block[feature])

    return map_blocks(dataset, count)


def count_datasets(
    datasets: Sequence[tf.data.Dataset], feature: str, *, max_tokens_in_memory: int
) -> Iterator[Counts]:
    """Yield the totals of all datasets, each token once.

    One thread a core takes dataset after dataset and has a table of its own. Threads suffice: TensorFlow
    works without Python's lock, and processes would each import it first.
    """
    counted = [count_blocks(dataset, feature) for dataset in datasets]
    num_threads = min(len(counted), os.cpu_count() or 1)
    with Partitions() as overflow:
        limit = max(1, max_tokens_in_memory // num_threads)
        tables = [TokenCounts(limit, overflow) for _ in range(num_threads)]
        _count_in_threads(counted, tables)
        yield from totals(tables, overflow)


def _count_in_threads(datasets: Sequence[tf.data.Dataset], tables: Sequence[TokenCounts]) -> None:
    waiting = iter(datasets)
    one_at_a_time = threading.Lock()
    done: queue.SimpleQueue[TokenCounts | None] = queue.SimpleQueue()
    is_over = threading.Event()

    def next_dataset() -> tf.data.Dataset | None:
        with one_at_a_time:
            return next(waiting, None)

    def count(table: TokenCounts) -> None:
        try:
            while (dataset := next_dataset()) is not None:
                for counts in dataset:
                    if is_over.is_set():
                        return
                    table.add(counts)
                    done.put(table)
        except BaseException:
            is_over.set()
            raise
        finally:
            done.put(None)

    def blocks_done() -> Iterator[TokenCounts | None]:
        for _ in tables:
            yield from iter(done.get, None)

    with ThreadPoolExecutor(len(tables)) as pool:
        threads = [pool.submit(count, table) for table in tables]
        try:
            for _ in progress(blocks_done(), "Counting tokens, in blocks"):
                pass
        finally:
            is_over.set()
        for thread in threads:
            thread.result()
