"""A `tf.data.Dataset` of padded batches, read without leaving TensorFlow, as `fit` would."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tests.passes import without_autotuning
from tests.speed.contender import Batch
from tests.speed.packed_rows import unpacked


class TensorFlowEpoch:
    """Without autotuning, ours and tf.data's own alike: a pass may wait for its thread at the end."""

    def __init__(self, batches: tf.data.Dataset, ids: str = "tokens", mask: str = "tokens_mask"):
        self.dataset = without_autotuning(batches.prefetch(tf.data.AUTOTUNE))
        self.names = ids, mask

    def read(self) -> None:
        self.dataset.reduce(np.int64(0), lambda count, _: count + 1).numpy()

    def batches(self) -> Iterator[Batch]:
        ids, mask = self.names
        for batch in self.dataset.as_numpy_iterator():
            yield batch[ids], batch[mask]


class PackedEpoch(TensorFlowEpoch):
    def __init__(self, batches: tf.data.Dataset):
        super().__init__(batches, mask="tokens_segment_ids")

    def batches(self) -> Iterator[Batch]:
        for token_ids, segment_ids in super().batches():
            yield from unpacked(token_ids, segment_ids)


def masked_by_values(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The usual mask of padded ids, `Embedding(mask_zero=True)`: a step is data if it is not 0."""
    return batches.map(
        lambda ids: {"tokens": ids, "tokens_mask": tf.not_equal(ids, 0)},
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def assert_same_batches(ours: TensorFlowEpoch, theirs: TensorFlowEpoch) -> None:
    for mine, other in zip(ours.batches(), theirs.batches(), strict=True):
        for my_part, other_part in zip(mine, other, strict=True):
            np.testing.assert_array_equal(my_part, other_part)
