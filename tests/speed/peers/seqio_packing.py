"""seqio: `trim_and_pack_dataset`, then `batch`."""

from collections.abc import Iterator

import numpy as np
import seqio
import tensorflow as tf

from tests.passes import without_autotuning
from tests.speed.contender import Batch, Contender
from tests.speed.packed_rows import BATCH_SIZE, LENGTH, unpacked
from tests.speed.rows import Rows


class PackedEpoch:
    """What `seqio.get_dataset` does for a feature converter with `pack=True`."""

    def __init__(self, rows: Rows):
        ids = tf.cast(rows.token_ids, tf.int32)  # the only dtype that it packs
        ragged = tf.RaggedTensor.from_row_splits(ids, rows.row_splits)
        dataset = tf.data.Dataset.from_tensor_slices(ragged).map(lambda row: {"tokens": row})
        packed = seqio.utils.trim_and_pack_dataset(dataset, {"tokens": LENGTH})
        self.dataset = without_autotuning(packed.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE))

    def read(self) -> None:
        self.dataset.reduce(np.int64(0), lambda count, _: count + 1).numpy()

    def batches(self) -> Iterator[Batch]:
        for batch in self.dataset.as_numpy_iterator():
            yield from unpacked(batch["tokens"], batch["tokens_segment_ids"])


NAME = "seqio, trim_and_pack_dataset"
DISTRIBUTIONS = ["seqio"]
CONTENDERS = [Contender(NAME, "one packed row open at a time", {"": PackedEpoch})]
