"""seqio: `trim_and_pack_dataset`, then `batch`."""

import seqio
import tensorflow as tf

from tests.speed.contender import Contender
from tests.speed.packed_rows import BATCH_SIZE, LENGTH
from tests.speed.rows import Rows
from tests.speed.tensorflow_epoch import PackedEpoch


def trim_and_pack(rows: Rows) -> PackedEpoch:
    """What `seqio.get_dataset` does for a feature converter with `pack=True`."""
    ids = tf.cast(rows.token_ids, tf.int32)  # the only dtype that it packs
    ragged = tf.RaggedTensor.from_row_splits(ids, rows.row_splits)
    dataset = tf.data.Dataset.from_tensor_slices(ragged).map(lambda row: {"tokens": row})
    packed = seqio.utils.trim_and_pack_dataset(dataset, {"tokens": LENGTH})
    return PackedEpoch(packed.batch(BATCH_SIZE))


NAME = "seqio, trim_and_pack_dataset"
DISTRIBUTIONS = ["seqio"]
CONTENDERS = [Contender(NAME, "one packed row open at a time", {"": trim_and_pack})]
