"""Grain: `FirstFitPackIterDataset` and `BestFitPackIterDataset`, then `batch`."""

from collections.abc import Iterator
from typing import Any

import grain

from tests.speed.contender import Batch, Contender
from tests.speed.packed_rows import BATCH_SIZE, LENGTH, NUM_BINS, unpacked
from tests.speed.rows import Rows


class PackedEpoch:
    """google-grain.readthedocs.io, "Packing": `length_struct`, `num_packing_bins`."""

    def __init__(self, rows: Rows, packer: Any):
        dataset = grain.MapDataset.source(
            [{"tokens": row} for row in rows.as_arrays()]
        ).to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=500))
        packed = packer(dataset, length_struct={"tokens": LENGTH}, num_packing_bins=NUM_BINS)
        self.dataset = packed.batch(BATCH_SIZE, drop_remainder=False)

    def read(self) -> None:
        for _ in self.dataset:
            pass

    def batches(self) -> Iterator[Batch]:
        for batch in self.dataset:
            yield from unpacked(batch["tokens"], batch["tokens_segment_ids"])


FIRST_FIT, BEST_FIT = "grain, first fit", "grain, best fit"
DISTRIBUTIONS = ["grain"]
CONTENDERS = [
    Contender(name, f"{NUM_BINS} bins", {"": lambda rows, packer=packer: PackedEpoch(rows, packer)})
    for name, packer in {
        FIRST_FIT: grain.experimental.FirstFitPackIterDataset,
        BEST_FIT: grain.experimental.BestFitPackIterDataset,
    }.items()
]
