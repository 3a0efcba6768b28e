"""Grain: a shuffled `MapDataset` whose batches are padded in `batch_fn`."""

from collections.abc import Iterator, Sequence

import grain
import numpy as np

from tests.speed.contender import Batch, Contender
from tests.speed.rows import Rows


def pad(rows: Sequence[np.ndarray]) -> Batch:
    """Grain has no padding of steps; this is what its users write."""
    row_lengths = np.array([len(row) for row in rows])
    mask = np.arange(row_lengths.max()) < row_lengths[:, None]
    ids = np.zeros(mask.shape, rows[0].dtype)
    ids[mask] = np.concatenate(rows)
    return ids, mask


def batches(rows: Rows, num_threads: int) -> grain.IterDataset:
    """google-grain.readthedocs.io, "`Dataset` basics": `source`, `shuffle`, `batch`, threads."""
    return (
        grain.MapDataset.source(rows.as_arrays())
        .shuffle(seed=0)
        .batch(rows.batch_size, drop_remainder=False, batch_fn=pad)
        .to_iter_dataset(grain.ReadOptions(num_threads, prefetch_buffer_size=500))
    )


class GrainEpoch:
    def __init__(self, dataset: grain.IterDataset):
        self.dataset = dataset

    def read(self) -> None:
        for _ in self.dataset:
            pass

    def batches(self) -> Iterator[Batch]:
        yield from self.dataset


DISTRIBUTIONS = ["grain"]
CONTENDERS = [
    Contender(
        "grain, shuffled, padded in batch_fn",
        "shuffles all rows; no buckets, no padding of its own",
        {
            "one thread": lambda rows: GrainEpoch(batches(rows, num_threads=1)),
            "16 threads, its default": lambda rows: GrainEpoch(batches(rows, num_threads=16)),
            "2 processes": lambda rows: GrainEpoch(
                batches(rows, num_threads=1).mp_prefetch(grain.MultiprocessingOptions(2))
            ),
        },
    )
]
