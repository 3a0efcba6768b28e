"""seqio: a `Task` and a `FeatureConverter`, which pads every row to one length."""

import seqio
import tensorflow as tf

from tests.speed.contender import Contender, for_one_length
from tests.speed.rows import Rows
from tests.speed.tensorflow_epoch import TensorFlowEpoch


def converted(rows: Rows, batch_size: int) -> TensorFlowEpoch:
    """github.com/google/seqio, README: a `Task`, a `FeatureConverter`, `seqio.get_dataset`."""
    ids = tf.cast(rows.token_ids, tf.int32)  # the only dtype that the converters take
    ragged = tf.RaggedTensor.from_row_splits(ids, rows.row_splits)
    source = seqio.FunctionDataSource(
        lambda split, shuffle_files, seed=None: tf.data.Dataset.from_tensor_slices(
            {"targets": ragged}
        ),
        splits=["train"],
        num_input_examples={"train": len(rows.row_lengths)},
    )
    vocabulary = seqio.PassThroughVocabulary(size=int(rows.token_ids.max()) + 1)
    task = seqio.Task(
        "rows",
        source,
        output_features={"targets": seqio.Feature(vocabulary, add_eos=False)},
        preprocessors=[],
    )
    dataset = seqio.get_dataset(
        task,
        task_feature_lengths={"targets": rows.longest},
        feature_converter=seqio.LMFeatureConverter(pack=False),
        shuffle=True,
        seed=0,
    )
    # Not get_dataset(batch_size=...), which drops the rows of a last batch that is not full.
    batches = dataset.batch(batch_size)
    return TensorFlowEpoch(batches, "decoder_target_tokens", "decoder_loss_weights")


DISTRIBUTIONS = ["seqio"]
CONTENDERS = [
    Contender(
        "seqio, LMFeatureConverter",
        "shuffles; one length for all rows; mask from values; also makes shifted inputs",
        for_one_length(converted),
    )
]
