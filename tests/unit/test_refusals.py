"""Every refusal of the data half, with its words: built, applied, read."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md

ROWS = md.from_rows({"tokens": [[1, 2, 3], [4]], "text": ["to be", "or"], "label": [0, 1]})
SINGLE_ROWS = tf.data.Dataset.range(3).map(lambda n: {"tokens": tf.range(n), "n": n})
VOCABULARY = md.Vocabulary(["to"])


def bucket(**changes: Any) -> md.BucketBySequenceLength:
    arguments = {"feature": "tokens", "bucket_boundaries": [2, 4], "bucket_batch_sizes": [3, 2, 1]}
    return md.BucketBySequenceLength(**(arguments | changes))


BUILT: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: bucket(feature=3), TypeError, "BucketBySequenceLength: feature must be the name of a feature, got 3."),
    (lambda: bucket(bucket_boundaries=[4, 2]), ValueError, "bucket_boundaries must be strictly increasing, got [4, 2]. Sort it"),
    (lambda: bucket(bucket_boundaries=[2, 2]), ValueError, "bucket_boundaries must be strictly increasing, got [2, 2]."),
    (lambda: bucket(bucket_boundaries=[0, 2]), ValueError, "each of bucket_boundaries must be at least 1, got 0."),
    (lambda: bucket(bucket_boundaries=3), TypeError, "bucket_boundaries must be a list of ints, got 3."),
    (lambda: bucket(bucket_boundaries=[1.5, 2]), TypeError, "each of bucket_boundaries must be an int, got 1.5."),
    (lambda: bucket(bucket_batch_sizes=[1, 2]), ValueError, "bucket_batch_sizes must have 3 entries, one more than bucket_boundaries, got [1, 2]."),
    (lambda: bucket(bucket_batch_sizes=[1, 2, 0]), ValueError, "each of bucket_batch_sizes must be at least 1, got 0."),
    (lambda: bucket(bucket_batch_sizes=[1, 2, -4]), ValueError, "each of bucket_batch_sizes must be at least 1, got -4."),
    (lambda: bucket(bucket_batch_sizes=None), ValueError, "one of bucket_batch_sizes and max_tokens must be given, got {'bucket_batch_sizes': None, 'max_tokens': None}."),
    (lambda: bucket(max_tokens=12), ValueError, "one of bucket_batch_sizes and max_tokens must be given, got {'bucket_batch_sizes': [3, 2, 1], 'max_tokens': 12}."),
    (lambda: bucket(bucket_batch_sizes=None, max_tokens=2), ValueError, "BucketBySequenceLength: max_tokens must be at least 3, the longest row below the last boundary, got 2. Raise it, or drop the boundaries past it."),
    (lambda: bucket(bucket_batch_sizes=None, max_tokens=8.0), TypeError, "BucketBySequenceLength: max_tokens must be an int, got 8.0."),
    (lambda: bucket(leftovers="first"), ValueError, "BucketBySequenceLength: leftovers must be one of ['last', 'mixed'], got 'first'."),
    (lambda: bucket(drop_remainder=1), TypeError, "drop_remainder must be True or False, got 1."),
    (lambda: md.RaggedBatch(0), ValueError, "RaggedBatch: batch_size must be at least 1, got 0."),
    (lambda: md.RaggedBatch(batch_size=True), TypeError, "RaggedBatch: batch_size must be an int, got True."),
    (lambda: md.RaggedBatch(2, elements="lines"), ValueError, "RaggedBatch: elements must be one of ['rows', 'blocks'], got 'lines'."),
    (lambda: md.PaddedBatch(2.0), TypeError, "RaggedBatch: batch_size must be an int, got 2.0."),
    (lambda: md.PaddedBatch(2, side="up"), ValueError, "ToDense: side must be one of ['right', 'left'], got 'up'."),
    (lambda: md.ToDense(features="tokens"), TypeError, "ToDense: features must list feature names, got 'tokens'."),
    (lambda: md.ToDense(features=["a", "a"]), ValueError, "ToDense: features must name each feature once"),
    (lambda: md.ToDense(lengths=0), ValueError, "ToDense: lengths must be at least 1, got 0."),
    (lambda: md.ToDense(lengths={"tokens": -1}), ValueError, "ToDense: lengths['tokens'] must be at least 1, got -1."),
    (lambda: md.ToDense(lengths=[8, 4]), ValueError, "ToDense: lengths must be strictly increasing, got [8, 4]."),
    (lambda: md.ToDense(lengths=[]), ValueError, "ToDense: lengths must have lengths to choose from, got []."),
    (lambda: md.ToDense(lengths=({}, 3)), TypeError, "ToDense: each of lengths must be an int, got {}."),
    (lambda: md.ToDense(pad_values=float("nan")), ValueError, "ToDense: pad_values must be finite, got nan. NaN in padding"),
    (lambda: md.ToDense(pad_values={"f": np.inf}), ValueError, "ToDense: pad_values['f'] must be finite, got inf."),
    (lambda: md.ToDense(pad_values=[0]), TypeError, "ToDense: pad_values must be a number or a string, got [0]."),
    (lambda: md.Truncate({}), TypeError, "Truncate: lengths must map features to lengths, got {}."),
    (lambda: md.Truncate({"tokens": 0}), ValueError, "Truncate: lengths['tokens'] must be at least 1, got 0."),
    (lambda: md.Truncate({"tokens": 2}, side="top"), ValueError, "Truncate: side must be one of"),
    (lambda: md.NextStep("", into="t"), TypeError, "NextStep: feature must be the name of a feature, got ''."),
    (lambda: md.NextStep("tokens", into=3), TypeError, "NextStep: into must be the name of a feature, got 3."),
    (lambda: md.DropLong(4), TypeError, "DropLong: lengths must map features to lengths, got 4."),
    (lambda: md.DropLong({"tokens": 0}), ValueError, "DropLong: lengths['tokens'] must be at least 1, got 0."),
    (lambda: md.SplitLong("tokens", 4), TypeError, "SplitLong: features must list feature names, got 'tokens'."),
    (lambda: md.SplitLong(["tokens"], 0), ValueError, "SplitLong: length must be at least 1, got 0."),
    (lambda: md.Tokenize(""), TypeError, "Tokenize: feature must be the name of a feature, got ''."),
    (lambda: md.Tokenize("text", into=1), TypeError, "Tokenize: into must be the name of a feature, got 1."),
    (lambda: md.Tokenize("text", tokenizer="spaces"), TypeError, "Tokenize: tokenizer must have a method `tokenize` or be a function, got 'spaces'."),
    (lambda: md.Lookup("tokens", ["to"]), TypeError, "Lookup: vocabulary must be a Vocabulary, got ['to']."),
    (lambda: md.Lookup([], VOCABULARY), TypeError, "Lookup: features must list feature names, got []."),
    (lambda: md.Shuffle(0, seed=1), ValueError, "Shuffle: buffer_size must be at least 1, got 0."),
    (lambda: md.Shuffle(4, seed=-1), ValueError, "Shuffle: seed must be at least 0, got -1."),
    (lambda: md.Shuffle(4, seed=None), TypeError, "Shuffle: seed must be an int, got None."),
    (lambda: md.Shuffle(4, seed=1, reshuffle_each_iteration=None), TypeError, "Shuffle: reshuffle_each_iteration must be True or False, got None."),
    (lambda: md.Vocabulary([]), ValueError, "Vocabulary: tokens must not be empty, got (). Was the dataset empty?"),
    (lambda: md.Vocabulary("abc"), TypeError, "Vocabulary: tokens must be a list of str, got 'abc'."),
    (lambda: md.Vocabulary(["a", "b", "a"]), ValueError, "Vocabulary: each token must stand once, got 'a'."),
    (lambda: md.Vocabulary([b"a"]), TypeError, "Vocabulary: each token must be a str, got b'a'."),
    (lambda: md.Vocabulary(["\ud800"]), ValueError, "Vocabulary: each token must be valid Unicode, got '\\ud800'."),
    (lambda: VOCABULARY.decode([0, 3]), ValueError, "Vocabulary.decode: each id must be below 3, got 3."),
    (lambda: VOCABULARY.decode([-1]), ValueError, "Vocabulary.decode: each id must be at least 0, got -1."),
    (lambda: VOCABULARY.decode([0.5]), TypeError, "Vocabulary.decode: each id must be an int, got 0.5."),
    (lambda: md.ToKeras(x=[]), TypeError, "ToKeras: x must list feature names, got []."),
    (lambda: md.ToKeras(x={}), ValueError, "ToKeras: x must name features, got {}."),
    (lambda: md.ToKeras(x={"in": 3}), TypeError, "ToKeras: x must be the name of a feature, got 3."),
    (lambda: md.ToKeras(x="a", sample_weight="w"), ValueError, "ToKeras: sample_weight must weight targets, got 'w'. Pass y too."),
    (lambda: md.ToKeras(x="a", y="b", sample_weight=["w"]), TypeError, "ToKeras: sample_weight must be the name of a feature, got ['w']."),
    (lambda: md.ToKeras(x="a", y=["b", "c"], sample_weight="w"), ValueError, "ToKeras: sample_weight must map each of ['b', 'c'] to a feature or None, got 'w'."),
    (lambda: md.ToKeras(x="a", y=["b", "c"], sample_weight={"b": "w"}), ValueError, "ToKeras: sample_weight must map each of ['b', 'c']"),
    (lambda: md.FillRows(0), ValueError, "FillRows: multiple_of must be at least 1, got 0."),
    (lambda: md.CountBatches(remember=3), TypeError, "CountBatches: remember must be a path, got 3."),
    (lambda: md.PrefetchToDevice(0), TypeError, "PrefetchToDevice: device must be a str, got 0."),
    (lambda: md.PrefetchToDevice(buffer_size=0), ValueError, "PrefetchToDevice: buffer_size must be at least 1, got 0."),
    (lambda: md.Chain(md.ToDense), TypeError, "Chain: each transform must take a dataset and return one, got <class"),
    (lambda: md.Chain(3), TypeError, "Chain: each transform must take a dataset and return one, got 3."),
    (lambda: md.Chain(md.PrefetchToDevice(), md.ToDense()), ValueError, "Chain: PrefetchToDevice must be the last stage, got PrefetchToDevice("),
    (lambda: md.read_text("no/such/file"), FileNotFoundError, "read_text: each of files must be an existing file, got 'no/such/file'."),
    (lambda: md.read_text("."), FileNotFoundError, "read_text: each of files must be an existing file, got '.'."),
    (lambda: md.read_text([]), ValueError, "read_text: files must name at least one file, got []."),
    (lambda: md.read_text([3]), TypeError, "read_text: files must be paths, got 3."),
    (lambda: md.read_text(__file__, block_size=0), ValueError, "read_text: block_size must be at least 1, got 0."),
    (lambda: md.read_text(__file__, compression_type="LZ4"), ValueError, "read_text: compression_type must be one of ['GZIP', 'ZLIB'], got 'LZ4'."),
    (lambda: md.from_rows([[1]]), TypeError, "from_rows: features must map names to rows, got [[1]]."),
    (lambda: md.from_rows({"a": [1], "b": [1, 2]}), ValueError, "from_rows: all features must have the same number of rows, got {'a': 1, 'b': 2}."),
    (lambda: md.from_rows({"a": 3}), TypeError, "from_rows: 'a' must be a list, an array or a tensor, got 3."),
    (lambda: md.from_rows({"a": np.array(3)}), TypeError, "from_rows: 'a' must have rows"),
    (lambda: md.from_rows({"a": [[], []]}), ValueError, "from_rows: 'a' must have at least one value, or a dtype, got []."),
    (lambda: md.from_rows({"a": [[1], ["x"]]}), TypeError, "from_rows: the values of 'a' must be of one kind, got [1, 'x']."),
    (lambda: md.from_rows({"a": [[1], 2]}), TypeError, "from_rows: the values of 'a' must be of one kind, got [[1], 2]."),
    (lambda: md.from_rows({"a": [np.ones([2, 3]), np.ones([2, 4])]}), ValueError, "from_rows: the arrays of 'a' must agree past their first axis, got [(3,), (4,)]."),
    (lambda: md.describe([1]), TypeError, "describe: must be applied to a tf.data.Dataset, got [1]."),
]  # fmt: skip


@pytest.mark.parametrize(("build", "error", "words"), BUILT, ids=[words for *_, words in BUILT])
def test_built(build: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        build()


WEIGHTED = md.Chain(
    md.ToDense(features=["tokens"]), md.ToKeras(x="tokens", y="tokens", sample_weight="label")
)

APPLIED: list[tuple[Any, tf.data.Dataset, type[Exception], str]] = [
    (md.ToDense(), [1], TypeError, "ToDense: must be applied to a tf.data.Dataset, got [1]."),
    (md.ToDense(), tf.data.Dataset.range(3), TypeError, "ToDense: an element must be a dict of features, got TensorSpec("),
    (md.ToDense(), ROWS.map(lambda rows: {"in": rows}), TypeError, "ToDense: feature 'in' must be a tensor or a ragged tensor, got {"),
    (md.ToDense(), SINGLE_ROWS, ValueError, "ToDense: elements must be batches of rows, but feature 'n' has no row axis, got TensorSpec(shape=(), dtype=tf.int64, name=None). The dataset holds single rows: apply RaggedBatch first."),
    (bucket(feature="n"), SINGLE_ROWS, ValueError, "The dataset holds single rows: apply RaggedBatch first."),
    (bucket(), SINGLE_ROWS.map(lambda row: {"tokens": row["tokens"]}), ValueError, "BucketBySequenceLength: feature 'tokens' must be ragged [B, (T), ...], got TensorSpec(shape=(None,), dtype=tf.int64, name=None). A dense feature has no row lengths. If the dataset holds single rows, apply RaggedBatch first."),
    (bucket(feature="token"), ROWS, ValueError, "BucketBySequenceLength: no feature 'token'; the element has ['label', 'text', 'tokens']. Did you mean 'tokens'?"),
    (bucket(feature="xyz"), ROWS, ValueError, "no feature 'xyz'; the element has ['label', 'text', 'tokens']. Name one of these."),
    (bucket(feature="label"), ROWS, ValueError, "feature 'label' must be ragged"),
    (md.Shuffle(4, seed=1), SINGLE_ROWS, ValueError, "Shuffle: elements must be batches of rows"),
    (md.RaggedBatch(2), ROWS.map(lambda rows: {"label": rows["label"]}), ValueError, "RaggedBatch: elements must be known to be single rows or blocks of rows"),
    (md.RaggedBatch(2), ROWS.map(lambda rows: rows | {"d": tf.ensure_shape(tf.numpy_function(np.ones, [[2, 3]], tf.float64), [None, None])}), ValueError, "RaggedBatch: feature 'd' must have known inner dimensions, got TensorSpec(shape=(None, None)"),
    (md.RaggedBatch(2), ROWS.map(lambda rows: rows | {"d": tf.numpy_function(np.ones, [[2]], tf.float64)}), ValueError, "RaggedBatch: feature 'd' must have a known rank, got TensorSpec(shape=<unknown>"),
    (md.FillRows(2), ROWS.map(lambda rows: {"label": rows["label"]}).map(lambda rows: rows | {"segment_mask": rows["label"]}), ValueError, "FillRows: batches must not be packed, got ['label', 'segment_mask']. A packed batch always has batch_size rows: make that a multiple."),
    (md.Truncate({"label": 2}), ROWS, ValueError, "Truncate: feature 'label' must be ragged"),
    (md.Truncate({"tokens": 2}), ROWS.apply(md.Truncate({"tokens": 3})), ValueError, "Truncate: must not overwrite feature 'tokens_cut'"),
    (md.NextStep("label", into="t"), ROWS, ValueError, "NextStep: feature 'label' must be ragged"),
    (md.NextStep("tokens", into="label"), ROWS, ValueError, "NextStep: must not overwrite feature 'label'"),
    (md.DropLong({"label": 2}), ROWS, ValueError, "DropLong: feature 'label' must be ragged"),
    (md.SplitLong(["token"], 2), ROWS, ValueError, "SplitLong: no feature 'token'; the element has"),
    (md.SplitLong(["label"], 2), ROWS, ValueError, "SplitLong: feature 'label' must be ragged"),
    (md.SplitLong(["tokens"], 2), ROWS.apply(md.SplitLong(["tokens"], 3)), ValueError, "SplitLong: must not overwrite feature 'tokens_window'"),
    (md.Tokenize("tokens"), ROWS, TypeError, "Tokenize: feature 'tokens' must hold strings"),
    (md.Tokenize("text", into="label"), ROWS, ValueError, "Tokenize: must not overwrite feature 'label', got TensorSpec("),
    (md.Tokenize("text", tokenizer=tf.strings.length), ROWS, TypeError, "Tokenize: tokenizer must give a ragged tensor"),
    (md.Lookup("tokens", VOCABULARY), ROWS, TypeError, "Lookup: feature 'tokens' must hold strings"),
    (md.ToDense(features=["label"]), ROWS, ValueError, "ToDense: feature 'label' must be ragged"),
    (md.ToDense(lengths={"token": 4}), ROWS, ValueError, "ToDense: no feature 'token'; the element has ['tokens']. Did you mean 'tokens'?"),
    (md.ToDense(lengths={"tokens": (4, 5)}), ROWS, ValueError, "ToDense: lengths of 'tokens' must have 1 entries, one for each ragged level, got (4, 5)."),
    (md.ToDense(pad_values="x"), ROWS, TypeError, "ToDense: the pad value of 'tokens' must be a value of dtype int32, got 'x'. Pass pad_values={'tokens': ...}."),
    (md.ToDense(pad_values=0.5), ROWS, TypeError, "ToDense: the pad value of 'tokens' must be a value of dtype int32, got 0.5."),
    (md.ToDense(pad_values=2**40), ROWS, TypeError, "ToDense: the pad value of 'tokens' must be a value of dtype int32, got 1099511627776."),
    (md.ToDense(pad_values=2**70), ROWS, TypeError, "ToDense: the pad value of 'tokens' must be a value of dtype int32, got 1180591620717411303424."),
    (md.ToDense(), ROWS.map(lambda rows: rows | {"tokens_mask": rows["label"]}), ValueError, "ToDense: must not overwrite feature 'tokens_mask', got TensorSpec("),
    (md.ToKeras(x="tokens"), ROWS, ValueError, "ToKeras: feature 'tokens' must be dense, got RaggedTensorSpec("),
    (md.ToKeras(x="text"), ROWS, TypeError, "ToKeras: feature 'text' must hold numbers, got TensorSpec("),
    (md.ToKeras(x="tokenz"), ROWS, ValueError, "ToKeras: no feature 'tokenz'; the element has ['label', 'text', 'tokens']. Did you mean 'tokens'?"),
    (WEIGHTED, ROWS, ValueError, "ToKeras: sample_weight 'label' must have the shape of the loss of y 'tokens' [None, None], got [None]. Give one weight per step: Keras would spread weights per row over the steps."),
    (md.ToKeras(x="tokens", y="label", sample_weight="tokens_mask"), ROWS.apply(md.ToDense()), ValueError, "sample_weight 'tokens_mask' must have the shape of the loss of y 'label' [None], got [None, None]."),
    (md.FillRows(2), ROWS, ValueError, "FillRows: feature 'tokens' must be dense, got RaggedTensorSpec("),
    (md.FillRows(2), ROWS.apply(md.Chain(md.ToDense(), md.FillRows(2))), ValueError, "FillRows: must not overwrite feature 'row_mask'"),
    (md.CountBatches(), ROWS.repeat(), ValueError, "CountBatches: the dataset must have an end, got <_RepeatDataset"),
    (md.CountBatches(remember="n.json"), ROWS.filter(lambda rows: tf.py_function(lambda: True, [], tf.bool)), ValueError, "CountBatches: a number to remember must depend on the graph alone, got <_FilterDataset"),
    (md.PrefetchToDevice(), ROWS, ValueError, "PrefetchToDevice: elements must be dense, got RaggedTensorSpec("),
    (md.PrefetchToDevice("/GPU:7"), ROWS.apply(md.ToDense()), ValueError, "PrefetchToDevice: device must be one of ['/device:CPU:0', '/device:CPU:1'], got '/GPU:7'."),
    (md.ToKeras(x="tokens"), ROWS.apply(md.ToDense()).apply(md.PrefetchToDevice("/CPU:1")), ValueError, "ToKeras: must come before PrefetchToDevice, got <_OnDevice"),
    (md.PrefetchToDevice(), ROWS.apply(md.ToDense()).apply(md.PrefetchToDevice("/CPU:1")), ValueError, "PrefetchToDevice: must come before PrefetchToDevice"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("transform", "dataset", "error", "words"), APPLIED, ids=[w for *_, w in APPLIED]
)
def test_applied(transform: Any, dataset: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        transform(dataset)


def test_a_chain_tells_the_stage() -> None:
    chain = md.Chain(md.Truncate({"tokens": 2}), md.ToDense(features=["tags"]))
    with pytest.raises(ValueError, match="no feature 'tags'") as caught:
        chain(ROWS)
    assert caught.value.__notes__ == [
        "In stage 2 of 2: ToDense(features=['tags'], lengths=None, pad_values=0, side='right')"
    ]


def test_prefetch_is_refused_under_a_strategy_with_several_replicas() -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with (
        strategy.scope(),
        pytest.raises(ValueError, match=r"must be used with one replica, got 2\. Leave it out"),
    ):
        ROWS.apply(md.ToDense()).apply(md.PrefetchToDevice("/CPU:1"))


def uneven() -> tf.data.Dataset:
    return ROWS.map(lambda rows: {"tokens": rows["tokens"], "label": rows["label"][:1]})


READ: list[tuple[Any, tf.data.Dataset, str]] = [
    (md.ToDense(lengths=2), ROWS, "ToDense: rows of tokens must have at most 2 steps, got "),
    (md.ToDense(lengths={"tokens": [1, 2]}), ROWS, "ToDense: rows of tokens must have at most 2 steps, got "),
    (bucket(bucket_boundaries=[2], bucket_batch_sizes=None, max_tokens=2), ROWS, "BucketBySequenceLength: rows of tokens must have at most max_tokens=2 steps, got "),
    (md.SplitLong(["tokens", "tags"], 2), md.from_rows({"tokens": [[1, 2], [3]], "tags": [[1], [2, 3]]}), "SplitLong: tokens, tags must have the same steps in each row. Split features of other lengths apart."),
    (bucket(), uneven(), "all features must have the same number of rows"),
    (md.RaggedBatch(2), uneven(), "all features must have the same number of rows"),
    (md.Shuffle(2, seed=1), uneven(), "all features must have the same number of rows"),
]  # fmt: skip


@pytest.mark.parametrize(("transform", "dataset", "words"), READ, ids=[w for *_, w in READ])
def test_read(transform: Any, dataset: tf.data.Dataset, words: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(words)):
        list(transform(dataset))


def test_weights_padded_to_another_length_are_refused_when_read() -> None:
    rows = md.from_rows({"tags": [[1, 2]], "costs": [[0.5, 2.0]]})
    prepare = md.Chain(
        md.ToDense(lengths={"tags": 2, "costs": 4}),
        md.ToKeras(x="tags", y="tags", sample_weight="costs"),
    )
    with pytest.raises(
        ValueError, match=re.escape("must have the shape of the loss of y 'tags' [None, 2]")
    ):
        prepare(rows)
    prepare = md.Chain(
        md.ToDense(features=["tags"]),
        md.ToDense(features=["costs"], lengths={"costs": [3, 9]}),
        md.ToKeras(x="tags", y="tags", sample_weight="costs"),
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="costs must be padded as tags is"):
        list(prepare(rows))


def test_a_token_that_is_no_utf8_is_refused_by_build() -> None:
    rows = md.from_rows({"tokens": [[b"\xff"]]})
    with pytest.raises(
        ValueError, match=re.escape(r"Vocabulary.build: tokens must be UTF-8, got b'\xff'.")
    ):
        md.Vocabulary.build(rows, "tokens")
