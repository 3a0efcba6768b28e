"""FromPadded: worked examples, everything that it refuses, and what stands around it."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data.padded import FromPadded

TOKENS = np.array([[7, 0, 9, 0], [5, 0, 0, 0], [0, 0, 0, 0]])
BATCH = md.from_rows(
    {
        "tokens": TOKENS,
        "tags": np.array([[1, 2, 3, -1], [4, -1, -1, -1], [-1] * 4]),
        "frames": np.ones([3, 4, 2], np.float32),
        "length": np.array([4, 1, 0]),
        "mask": np.array([[1, 1, 1, 0], [1, 0, 0, 0], [0] * 4], np.int8),
        "holed": np.array([[1, 0, 1, 0], [1, 0, 0, 0], [0] * 4], bool),
        "text": ["a", "b", "c"],
    }
)


def read(transform: Any, dataset: tf.data.Dataset = BATCH) -> dict[str, Any]:
    return dict(dataset.apply(transform).get_single_element())


def test_lengths_are_taken_at_their_word_and_leave() -> None:
    block = read(FromPadded(["tokens", "tags"], lengths="length"))
    assert block["tokens"].to_list() == [[7, 0, 9, 0], [5], []]
    assert block["tags"].to_list() == [[1, 2, 3, -1], [4], []]
    assert list(block) == ["tokens", "tags", "frames", "mask", "holed", "text"]


def test_a_mask_is_taken_at_its_word_and_leaves() -> None:
    block = read(FromPadded(["frames", "tokens"], mask="mask"))
    assert block["tokens"].to_list() == [[7, 0, 9], [5], []]
    assert block["frames"].shape.as_list() == [3, None, 2]
    assert "mask" not in block
    assert "holed" in block


def test_a_pad_value_inside_a_row_is_data() -> None:
    assert read(FromPadded("tokens", pad_value=0))["tokens"].to_list() == [[7, 0, 9], [5], []]
    left = read(FromPadded("tokens", pad_value=0, side="left"))["tokens"].to_list()
    assert left == [[7, 0, 9, 0], [5, 0, 0, 0], []]


def test_one_feature_can_tell_the_padding_of_others() -> None:
    """Tags have another pad value, and one that is a legal tag further inside."""
    tags = np.array([[1, -1, -1, 0], [4, 0, 0, 0], [0] * 4])
    dataset = md.from_rows({"tokens": TOKENS, "tags": tags})
    block = read(FromPadded(["tokens", "tags"], pad_value={"tokens": 0}), dataset)
    assert block["tags"].to_list() == [[1, -1, -1], [4], []]
    block = read(FromPadded(["tokens", "tags"], pad_value={"tags": 0}), dataset)
    assert block["tokens"].to_list() == [[7, 0, 9], [5], []]
    both = read(FromPadded(["tokens", "tags"], pad_value={"tokens": 0, "tags": -1}))
    assert both["tokens"].to_list() == [[7, 0, 9], [5], []]


def test_holes_are_taken_out_and_counted() -> None:
    by_mask = read(FromPadded("tags", mask="holed", holes=True))
    assert by_mask["tags"].to_list() == [[1, 3], [4], []]
    assert by_mask["tags_holes"].numpy().tolist() == [1, 0, 0]
    by_value = read(FromPadded(["tokens", "tags"], pad_value={"tokens": 0}, holes=True))
    assert by_value["tags"].to_list() == [[1, 3], [4], []]
    assert by_value["tokens_holes"].numpy().tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("rows", "pad_value"),
    [
        (np.array([[[1.0, np.nan], [np.nan, np.nan]]]), float("nan")),
        (np.array([[[1.0, np.nan], [np.nan, np.nan]]], np.float16), np.float32("nan")),
        (np.array([[[1.0, -np.inf], [-np.inf, -np.inf]]]), float("-inf")),
        (np.array([[[1.0, 0.1], [0.1, 0.1]]], np.float32), 0.1),
        (np.array([[[1.0, 0.1], [0.1, 0.1]]], tf.bfloat16.as_numpy_dtype), 0.1),
        (np.array([[[1j, 2], [2, 2]]]), 2),
        (np.array([[[1.0, 0.0], [-0.0, 0.0]]]), 0),
        (np.array([[["a", ""], ["", ""]]]), 0),
        (np.array([[["a", "[PAD]"], ["[PAD]", "[PAD]"]]]), "[PAD]"),
        (np.array([[[True, False], [False, False]]]), False),
        (np.array([[[1, 200], [255, 255]]], np.uint8), 255),
    ],
    ids=str,
)
def test_pad_values_of_every_dtype(rows: np.ndarray, pad_value: Any) -> None:
    dataset = md.from_rows({"rows": rows})
    found = read(FromPadded("rows", pad_value=pad_value), dataset)["rows"]
    np.testing.assert_array_equal(found[0], tf.constant(rows[0, :1]))


def test_without_rows_and_without_steps() -> None:
    for shape in ([0, 4], [2, 0], [0, 0]):
        dataset = tf.data.Dataset.from_tensors(
            {"tokens": tf.zeros(shape), "n": tf.zeros(shape[:1], tf.int32)}
        )
        for transform in (
            FromPadded("tokens", pad_value=0),
            FromPadded("tokens", lengths="n", side="left"),
        ):
            assert read(transform, dataset)["tokens"].to_list() == [[]] * shape[0]


def test_what_is_static_stays_static() -> None:
    batch = {"frames": tf.zeros([3, 4, 2]), "n": tf.zeros([3], tf.int32)}
    for transform in (FromPadded("frames", lengths="n"), FromPadded("frames", pad_value=0)):
        dataset = tf.data.Dataset.from_tensors(batch).apply(transform)
        assert dataset.element_spec["frames"] == tf.RaggedTensorSpec([3, None, 2], ragged_rank=1)


WORDS = np.array([[[1, 2, 0], [0, 3, 0], [0, 0, 0]], [[4, 0, 0], [0, 0, 0], [0, 0, 0]]])


@pytest.mark.parametrize("splits", [tf.int64, tf.int32])
def test_padding_inside_of_steps(splits: tf.DType) -> None:
    """[B, L, M] becomes [B, (T), (M)] in two turns, each told in its own way."""
    element = {"chars": WORDS, "inner": np.array([[2, 3, 0], [1, 0, 0]])}
    rows = md.from_rows(element).apply(FromPadded(["chars", "inner"], pad_value={"chars": 0}))
    rows = rows.map(lambda block: {n: f.with_row_splits_dtype(splits) for n, f in block.items()})
    by_length = read(FromPadded("chars", lengths="inner", axis=2), rows)["chars"]
    assert by_length.to_list() == [[[1, 2], [0, 3, 0]], [[4]]]
    assert by_length.row_splits.dtype == splits
    by_value = read(FromPadded("chars", pad_value=0, axis=2, holes=True), rows)
    assert by_value["chars"].to_list() == [[[1, 2], [3]], [[4]]]
    assert by_value["chars_holes_2"].to_list() == [[0, 1], [0]]


def test_from_padded_arrays_to_the_model_and_back() -> None:
    """Once ragged, everything else applies: bucket, pad anew, describe."""
    prepare = md.Chain(
        FromPadded(["tokens", "tags"], lengths="length"),
        lambda rows: rows.map(lambda block: {n: block[n] for n in ("tokens", "tags")}),
        md.Truncate({"tokens": 3, "tags": 3}),
        md.BucketBySequenceLength("tokens", [2], [2, 2]),
        md.ToDense(),
    )
    batches = list(prepare(BATCH))
    assert [batch["tokens"].numpy().tolist() for batch in batches] == [[[5], [0]], [[7, 0, 9]]]
    assert [batch["tokens_mask"].numpy().tolist() for batch in batches] == [
        [[True], [False]],
        [[True] * 3],
    ]
    assert md.describe(prepare(BATCH), source=BATCH).rows_lost == 0


BUILT: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"features": []}, TypeError, "FromPadded: features must list feature names, got []."),
    ({"features": ["a", "a"]}, ValueError, "FromPadded: features must name each feature once, got ['a', 'a']."),
    ({"pad_value": None}, ValueError, "FromPadded: one of pad_value, lengths and mask must be given, got {}. With lengths or a mask no value is taken for padding."),
    ({"mask": "m"}, ValueError, "FromPadded: one of pad_value, lengths and mask must be given, got {'pad_value': 0, 'mask': 'm'}."),
    ({"pad_value": {}}, ValueError, "FromPadded: pad_value must name a feature, got {}. Pass {'tokens': 0}."),
    ({"pad_value": {"tags": 0}}, ValueError, "FromPadded: pad_value must name some of ['tokens'], got 'tags'. Name it among features too."),
    ({"pad_value": [0]}, TypeError, "FromPadded: the pad value of 'tokens' must be a number or a string, got [0]."),
    ({"pad_value": None, "lengths": 3}, TypeError, "FromPadded: lengths must be the name of a feature, got 3."),
    ({"pad_value": None, "mask": "tokens"}, ValueError, "FromPadded: mask must not be among features, got 'tokens'. It leaves by itself"),
    ({"side": "both"}, ValueError, "FromPadded: side must be one of ['right', 'left'], got 'both'."),
    ({"holes": 1}, TypeError, "FromPadded: holes must be True or False, got 1."),
    ({"pad_value": None, "lengths": "n", "holes": True}, ValueError, "FromPadded: holes must be False with lengths, got True. Pass a mask that has them."),
    ({"axis": 0}, ValueError, "FromPadded: axis must be at least 1, got 0."),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "words"), BUILT, ids=[w for *_, w in BUILT])
def test_refused_when_built(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        FromPadded(**({"features": "tokens", "pad_value": 0} | arguments))


RAGGED = BATCH.apply(FromPadded("tokens", pad_value=0))

APPLIED: list[tuple[FromPadded, Any, type[Exception], str]] = [
    (FromPadded("tokens", pad_value=0), [1], TypeError, "FromPadded: must be applied to a tf.data.Dataset, got [1]."),
    (FromPadded("token", pad_value=0), BATCH, ValueError, "FromPadded: no feature 'token'; the element has"),
    (FromPadded("tokens", lengths="size"), BATCH, ValueError, "FromPadded: no feature 'size'; the element has"),
    (FromPadded("tokens", pad_value=0), RAGGED, ValueError, "FromPadded: feature 'tokens' must be padded on axis 1, [B, L, ...], got RaggedTensorSpec("),
    (FromPadded("tags", pad_value=0, axis=2), BATCH, ValueError, "FromPadded: feature 'tags' must be padded on axis 2, [B, (T), L, ...], got TensorSpec("),
    (FromPadded("text", pad_value=0), BATCH, ValueError, "FromPadded: feature 'text' must be padded on axis 1, [B, L, ...], got TensorSpec(shape=(None,)"),
    (FromPadded(["tokens", "wide"], pad_value=0), BATCH.map(lambda b: b | {"wide": tf.zeros([3, 5])}), ValueError, "FromPadded: feature 'wide' must fit the steps of 'tokens', (None, 4), got TensorSpec(shape=(3, 5)"),
    (FromPadded("tokens", lengths="mask"), BATCH, ValueError, "FromPadded: feature 'mask' must fit the steps of 'tokens', (None,), got TensorSpec(shape=(None, 4)"),
    (FromPadded("tokens", mask="length"), BATCH, ValueError, "FromPadded: feature 'length' must be padded on axis 1, [B, L, ...], got TensorSpec(shape=(None,)"),
    (FromPadded("tokens", mask="frames"), BATCH, ValueError, "FromPadded: feature 'frames' must fit the steps of 'tokens', (None, 4), got"),
    (FromPadded("tokens", mask="f"), BATCH.map(lambda b: b | {"f": tf.zeros([3, 4])}), TypeError, "FromPadded: feature 'f' must hold bools or ints, got TensorSpec("),
    (FromPadded("tokens", lengths="text"), BATCH, TypeError, "FromPadded: feature 'text' must hold ints, got TensorSpec("),
    (FromPadded("tokens", pad_value="x"), BATCH, TypeError, "FromPadded: the pad value of 'tokens' must be a value of dtype int64, got 'x'. Pass pad_value={'tokens': ...}."),
    (FromPadded("tokens", pad_value=0.5), BATCH, TypeError, "must be a value of dtype int64, got 0.5."),
    (FromPadded("tokens", pad_value=float("nan")), BATCH, TypeError, "must be a value of dtype int64, got nan."),
    (FromPadded("tokens", pad_value=2**70), BATCH, TypeError, "must be a value of dtype int64, got 1180591620717411303424."),
    (FromPadded("frames", pad_value=1e40), BATCH, TypeError, "must be a value of dtype float32, got 1e+40."),
    (FromPadded("tokens", pad_value=float("inf")), BATCH, TypeError, "must be a value of dtype int64, got inf."),
    (FromPadded("holed", pad_value=2), BATCH, TypeError, "must be a value of dtype bool, got 2."),
    (FromPadded("mask", pad_value=-200), BATCH, TypeError, "must be a value of dtype int8, got -200."),
    (FromPadded("tokens", pad_value=0, holes=True), BATCH.map(lambda b: b | {"tokens_holes": b["length"]}), ValueError, "FromPadded: must not overwrite feature 'tokens_holes'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("transform", "dataset", "error", "words"), APPLIED, ids=[w for *_, w in APPLIED]
)
def test_refused_when_applied(
    transform: FromPadded, dataset: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        transform(dataset)


def _unknown_steps(change: Callable[[dict[str, Any]], dict[str, Any]]) -> tf.data.Dataset:
    """Return the batch, changed, with a spec that tells no sizes: faults are seen when read."""
    [batch] = BATCH.map(change)
    spec = {n: tf.TensorSpec([None] * f.shape.rank, f.dtype) for n, f in batch.items()}
    return tf.data.Dataset.from_generator(lambda: iter([batch]), output_signature=spec)


READ: list[tuple[FromPadded, Callable[[dict[str, Any]], dict[str, Any]], str]] = [
    (FromPadded(["tokens", "tags"], pad_value=0), lambda b: b | {"tags": b["tags"][:, :3]}, "FromPadded: tokens, tags must have the same rows and steps, padding included."),
    (FromPadded("tokens", mask="mask"), lambda b: b | {"mask": b["mask"][:2]}, "FromPadded: tokens, mask must have the same rows and steps, padding included."),
    (FromPadded("tokens", lengths="length"), lambda b: b | {"length": b["length"][:2]}, "FromPadded: tokens, length must have the same rows and steps, padding included."),
    (FromPadded("tokens", lengths="length"), lambda b: b | {"length": b["length"] + 1}, "FromPadded: length must lie between 0 and the padded length. Check what counted the steps."),
    (FromPadded("tokens", lengths="length"), lambda b: b | {"length": b["length"] - 1}, "FromPadded: length must lie between 0 and the padded length."),
    (FromPadded("tokens", mask="holed"), lambda b: b, "FromPadded: holed must have no False before the last True of a row. Pass side=left if the padding stands there, or holes=True to take such steps out."),
    (FromPadded("tokens", mask="mask", side="left"), lambda b: b, "FromPadded: mask must have no False after the first True of a row. Pass side=right if"),
]  # fmt: skip


@pytest.mark.parametrize(("transform", "change", "words"), READ, ids=[w for *_, w in READ])
def test_refused_when_read(
    transform: FromPadded, change: Callable[[dict[str, Any]], dict[str, Any]], words: str
) -> None:
    dataset = _unknown_steps(change).apply(transform)
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(words)):
        list(dataset)


def test_rows_of_other_steps_are_refused_inside_too() -> None:
    def differ(block: dict[str, Any]) -> dict[str, Any]:
        return {
            "chars": tf.RaggedTensor.from_row_lengths(block["tokens"], [2, 1]),
            "mask": tf.RaggedTensor.from_row_lengths(block["mask"], [1, 2]),
        }

    dataset = BATCH.map(differ).apply(FromPadded("chars", mask="mask", axis=2))
    with pytest.raises(tf.errors.InvalidArgumentError, match="chars, mask must have the same rows"):
        list(dataset)
