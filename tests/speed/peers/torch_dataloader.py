"""PyTorch: `DataLoader` with batches of like length, and `pad_sequence`."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Sampler

from tests.speed.contender import Batch, Contender
from tests.speed.rows import SLOTS, Rows


class SortedSampler(Sampler[list[int]]):
    """Shuffle, sort by length within pools of a hundred batches, cut, shuffle the batches.

    github.com/pytorch/text, migration tutorial, step 3, which rebuilds `BucketIterator` so; here as
    a `batch_sampler`, whose batches may have different numbers of rows: as many as fit the slots.
    """

    def __init__(self, rows: Rows):
        self.row_lengths, self.pool_size = rows.row_lengths, 100 * rows.bucketed_batch_size

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(len(self.row_lengths)).numpy()
        pools = np.split(order, range(self.pool_size, len(order), self.pool_size))
        batches = [batch for pool in pools for batch in self.cut(pool)]
        yield from (batches[number] for number in torch.randperm(len(batches)).tolist())

    def cut(self, pool: np.ndarray) -> Iterator[list[int]]:
        pool = pool[np.argsort(self.row_lengths[pool])]
        first = 0
        for last, length in enumerate(self.row_lengths[pool].tolist()):
            if (last + 1 - first) * length > SLOTS:
                yield pool[first:last].tolist()
                first = last
        yield pool[first:].tolist()


def collate(rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    row_lengths = torch.tensor([len(row) for row in rows])
    ids = pad_sequence(rows, batch_first=True)
    return ids, torch.arange(ids.shape[1]) < row_lengths[:, None]


class DataLoaderEpoch:
    """docs.pytorch.org/docs/stable/data.html: `batch_sampler`, `collate_fn`, `num_workers`."""

    def __init__(self, rows: Rows, num_workers: int):
        ids = torch.from_numpy(rows.token_ids)
        self.loader = DataLoader(
            list(torch.split(ids, rows.row_lengths.tolist())),
            batch_sampler=SortedSampler(rows),
            collate_fn=collate,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
        )

    def read(self) -> None:
        for _ in self.loader:
            pass

    def batches(self) -> Iterator[Batch]:
        for ids, mask in self.loader:
            yield ids.numpy(), mask.numpy()


DISTRIBUTIONS = ["torch"]
CONTENDERS = [
    Contender(
        "PyTorch DataLoader, length-sorted batches, pad_sequence",
        "shuffles all rows; sorts within pools",
        {
            "in the process": lambda rows: DataLoaderEpoch(rows, num_workers=0),
            "2 workers": lambda rows: DataLoaderEpoch(rows, num_workers=2),
        },
    )
]
