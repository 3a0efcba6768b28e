"""Grain: `FirstFitPackIterDataset`, then `batch`."""

from collections.abc import Iterator

import grain

from tests.speed.contender import Batch, Contender
from tests.speed.packed_rows import BATCH_SIZE, LENGTH, NUM_BINS, unpacked
from tests.speed.rows import Rows


class PackedEpoch:
    """google-grain.readthedocs.io, "Packing": `length_struct`, `num_packing_bins`."""

    def __init__(self, rows: Rows):
        dataset = grain.MapDataset.source(
            [{"tokens": row} for row in rows.as_arrays()]
        ).to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=500))
        packed = grain.experimental.FirstFitPackIterDataset(
            dataset, length_struct={"tokens": LENGTH}, num_packing_bins=NUM_BINS
        )
        self.dataset = packed.batch(BATCH_SIZE, drop_remainder=False)

    def read(self) -> None:
        for _ in self.dataset:
            pass

    def batches(self) -> Iterator[Batch]:
        for batch in self.dataset:
            yield from unpacked(batch["tokens"], batch["tokens_segment_ids"])


DISTRIBUTIONS = ["grain"]
CONTENDERS = [Contender("grain, first fit", f"{NUM_BINS} bins", {"": PackedEpoch})]
