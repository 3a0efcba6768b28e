"""From token ids in memory to padded batches and masks: maskdata, tf.data and what comes with it."""

from collections.abc import Callable, Iterator

import keras
import tensorflow as tf
import tensorflow_text

import maskdata as md
from tests.speed.contender import Batch, Contender, Epoch, for_one_length
from tests.speed.rows import BATCH_SIZES, BOUNDARIES, SLOTS, Rows
from tests.speed.tensorflow_epoch import TensorFlowEpoch, masked_by_values


def ragged(rows: Rows) -> tf.RaggedTensor:
    return tf.RaggedTensor.from_row_splits(rows.token_ids, rows.row_splits)


def maskdata_bucket(rows: Rows) -> Epoch:
    """Blocks to the batches of `bucket_by_sequence_length`, in the same order."""
    prepare = md.Chain(md.BucketBySequenceLength("tokens", BOUNDARIES, BATCH_SIZES), md.ToDense())
    return TensorFlowEpoch(prepare(md.from_rows({"tokens": ragged(rows)})))


def maskdata_plan(rows: Rows) -> Epoch:
    """The whole epoch planned from the lengths; the plan is made once, before."""
    plan = md.BatchPlan(
        {"tokens": ragged(rows)}, "tokens", max_tokens=SLOTS, num_buckets=16, seed=0
    )
    return TensorFlowEpoch(plan.dataset().apply(md.ToDense(lengths=plan.buckets.lengths)))


def single_rows(rows: Rows) -> tf.data.Dataset:
    """Rows of a ragged tensor; buckets refuse them until a map has made them dense."""
    return tf.data.Dataset.from_tensor_slices(ragged(rows)).map(lambda row: row)


def slices(rows: Rows) -> tf.data.Dataset:
    """The same rows, cut out of one flat tensor."""
    ids = tf.constant(rows.token_ids)
    limits = tf.data.Dataset.from_tensor_slices((rows.row_splits[:-1], rows.row_splits[1:]))
    return limits.map(lambda start, limit: ids[start:limit])


def generated_rows(rows: Rows) -> tf.data.Dataset:
    """tensorflow.org/guide/data, "Consuming Python generators"."""
    arrays = rows.as_arrays()
    return tf.data.Dataset.from_generator(
        lambda: iter(arrays), output_signature=tf.TensorSpec([None], tf.int64)
    )


RowsOf = Callable[[Rows], tf.data.Dataset]


def bucketed(rows_of: RowsOf) -> Callable[[Rows], Epoch]:
    """tensorflow.org/api_docs/python/tf/data/Dataset, `bucket_by_sequence_length`."""

    def epoch(rows: Rows) -> Epoch:
        batches = rows_of(rows).bucket_by_sequence_length(
            lambda row: tf.size(row), BOUNDARIES, BATCH_SIZES, padded_shapes=[None]
        )
        return TensorFlowEpoch(masked_by_values(batches))

    return epoch


def shuffled_and_padded(rows_of: RowsOf) -> Callable[[Rows], Epoch]:
    """tensorflow.org/guide/data, "Batching tensors with padding"."""

    def epoch(rows: Rows) -> Epoch:
        batches = rows_of(rows).shuffle(10_000).padded_batch(rows.batch_size)
        return TensorFlowEpoch(masked_by_values(batches))

    return epoch


def shuffled_and_ragged(rows: Rows) -> Epoch:
    """tensorflow.org/guide/ragged_tensor, "Batching Datasets with ragged tensors"."""

    def to_dense(ids: tf.RaggedTensor) -> dict[str, tf.Tensor]:
        return {"tokens": ids.to_tensor(), "tokens_mask": tf.sequence_mask(ids.row_lengths())}

    batches = tf.data.Dataset.from_tensor_slices(ragged(rows)).shuffle(10_000)
    return TensorFlowEpoch(batches.batch(rows.batch_size).map(to_dense, tf.data.AUTOTUNE))


class PadSequencesEpoch:
    """tensorflow.org/guide/keras/understanding_masking_and_padding, "Padding sequence data"."""

    def __init__(self, rows: Rows, batch_size: int):
        self.arrays, self.batch_size = rows.as_arrays(), batch_size

    def padded(self) -> TensorFlowEpoch:
        ids = keras.utils.pad_sequences(self.arrays, dtype="int64", padding="post")
        batches = tf.data.Dataset.from_tensor_slices(ids).batch(self.batch_size)
        return TensorFlowEpoch(masked_by_values(batches))

    def read(self) -> None:
        self.padded().read()

    def batches(self) -> Iterator[Batch]:
        return self.padded().batches()


def pad_model_inputs(rows: Rows, batch_size: int) -> Epoch:
    """tensorflow.org/text/guide/bert_preprocessing_guide, "Padding Model Inputs"."""

    def pad(ids: tf.RaggedTensor) -> dict[str, tf.Tensor]:
        ids, mask = tensorflow_text.pad_model_inputs(ids, max_seq_length=rows.longest)
        return {"tokens": ids, "tokens_mask": mask}

    batches = tf.data.Dataset.from_tensor_slices(ragged(rows)).batch(batch_size)
    return TensorFlowEpoch(batches.map(pad, num_parallel_calls=tf.data.AUTOTUNE))


BUCKET, PLAN = "maskdata, BucketBySequenceLength", "maskdata, BatchPlan"
STOCK = "tf.data, bucket_by_sequence_length"
DISTRIBUTIONS = ["tensorflow", "keras", "tensorflow-text"]
CONTENDERS = [
    Contender(PLAN, "shuffles all rows; the epoch is planned before", {"": maskdata_plan}),
    Contender(BUCKET, "the batches of tf.data's buckets, in their order", {"": maskdata_bucket}),
    Contender(
        STOCK,
        "mask from values",
        {"from_tensor_slices": bucketed(single_rows), "slices": bucketed(slices)},
    ),
    Contender(
        "tf.data, from_generator, bucket_by_sequence_length",
        "mask from values",
        {"": bucketed(generated_rows)},
    ),
    Contender(
        "tf.data, shuffle, padded_batch",
        "shuffles; no buckets; mask from values",
        {
            "from_tensor_slices": shuffled_and_padded(single_rows),
            "slices": shuffled_and_padded(slices),
        },
    ),
    Contender(
        "tf.data, shuffle, ragged batch, to_tensor",
        "shuffles; no buckets",
        {"": shuffled_and_ragged},
    ),
    Contender(
        "keras.utils.pad_sequences, from_tensor_slices",
        "one length for all rows; mask from values; all rows padded at once, in each epoch anew",
        for_one_length(PadSequencesEpoch),
    ),
    Contender(
        "keras.utils.pad_sequences once, then from_tensor_slices",
        "the padding is not measured; eleven times the memory",
        for_one_length(lambda rows, batch_size: PadSequencesEpoch(rows, batch_size).padded()),
    ),
    Contender(
        "tensorflow-text, pad_model_inputs",
        "one length for all rows",
        for_one_length(pad_model_inputs),
    ),
]
