"""From text to padded batches and masks: maskdata, tf.data and what comes with it."""

import keras
import tensorflow as tf
import tensorflow_text

import maskdata as md
from tests.speed.contender import Contender, Epoch, for_one_length
from tests.speed.rows import BATCH_SIZES, BOUNDARIES, Rows
from tests.speed.tensorflow_epoch import TensorFlowEpoch, masked_by_values


def maskdata_text(rows: Rows) -> Epoch:
    """The batches of `tf.data, row by row` in the same order, masks from row lengths."""
    prepare = md.Chain(
        md.Tokenize("text", into="tokens"),
        md.Lookup("tokens", md.Vocabulary(rows.words)),
        md.BucketBySequenceLength("tokens", BOUNDARIES, BATCH_SIZES),
        md.ToDense(),
    )
    return TensorFlowEpoch(prepare(md.read_text(rows.text)))


def lines(rows: Rows) -> tf.data.Dataset:
    return tf.data.TextLineDataset(str(rows.text))


def row_by_row(rows: Rows) -> Epoch:
    """tf.data the usual way: a map for each row, `bucket_by_sequence_length`."""
    table = md.Vocabulary(rows.words).table()
    single_rows = lines(rows).map(
        lambda line: table.lookup(tf.strings.split(line)), num_parallel_calls=tf.data.AUTOTUNE
    )
    return _bucketed(single_rows)


def tokens_in_blocks(rows: Rows) -> Epoch:
    """tf.data, tokens looked up in blocks, but rows bucketed one by one."""
    return _bucketed(_ids_in_blocks(rows).unbatch().map(lambda row: row))


def _bucketed(single_rows: tf.data.Dataset) -> Epoch:
    batches = single_rows.bucket_by_sequence_length(
        lambda row: tf.size(row), BOUNDARIES, BATCH_SIZES, padded_shapes=[None]
    )
    return TensorFlowEpoch(masked_by_values(batches))


def _ids_in_blocks(rows: Rows) -> tf.data.Dataset:
    table = md.Vocabulary(rows.words).table()

    def ids(block: tf.Tensor) -> tf.RaggedTensor:
        tokens = tf.strings.split(block)
        return tokens.with_values(table.lookup(tokens.values))

    return lines(rows).batch(4096).map(ids, num_parallel_calls=tf.data.AUTOTUNE)


def text_vectorization(rows: Rows) -> Epoch:
    """keras.io/api/layers/preprocessing_layers/text, in `map`, as recommended there."""
    layer = keras.layers.TextVectorization(
        standardize=None, split="whitespace", vocabulary=rows.words
    )
    batches = lines(rows).shuffle(10_000).batch(rows.batch_size)
    return TensorFlowEpoch(masked_by_values(batches.map(layer, tf.data.AUTOTUNE)))


def pad_model_inputs(rows: Rows, batch_size: int) -> Epoch:
    """tensorflow.org/text/guide/bert_preprocessing_guide, with words."""
    table, tokenizer = md.Vocabulary(rows.words).table(), tensorflow_text.WhitespaceTokenizer()

    def prepare(block: tf.Tensor) -> dict[str, tf.Tensor]:
        tokens = tokenizer.tokenize(block)
        ids = tokens.with_values(table.lookup(tokens.values))
        ids, mask = tensorflow_text.pad_model_inputs(ids, max_seq_length=rows.longest)
        return {"tokens": ids, "tokens_mask": mask}

    batches = lines(rows).batch(batch_size)
    return TensorFlowEpoch(batches.map(prepare, num_parallel_calls=tf.data.AUTOTUNE))


OURS = "maskdata"
STOCK = "tf.data, row by row"
FLOOR = "split and lookup alone, in blocks"
DISTRIBUTIONS = ["tensorflow", "keras", "tensorflow-text"]
CONTENDERS = [
    Contender(OURS, "the batches of the next two, in their order", {"": maskdata_text}),
    Contender(STOCK, "mask from values", {"": row_by_row}),
    Contender(
        "tf.data, tokens in blocks, bucket row by row", "mask from values", {"": tokens_in_blocks}
    ),
    Contender(
        "keras.layers.TextVectorization",
        "shuffles; no buckets; mask from values",
        {"": text_vectorization},
    ),
    Contender(
        "tensorflow-text, pad_model_inputs",
        "one length for all rows",
        for_one_length(pad_model_inputs),
    ),
    Contender(
        FLOOR,
        "no batches: what no pipeline for this work can avoid",
        {"": lambda rows: TensorFlowEpoch(_ids_in_blocks(rows))},
        whole=False,
    ),
]
