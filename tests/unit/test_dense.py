"""ToDense: worked examples with answers computed by hand."""

import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md

ROWS = md.from_rows({"ids": [[1, 2, 3], [], [4]], "words": [["a", "b"], ["c"], []], "n": [7, 8, 9]})


def dense(transform: Any, rows: tf.data.Dataset = ROWS) -> dict[str, Any]:
    return {
        name: t.numpy().tolist() for name, t in rows.apply(transform).get_single_element().items()
    }


def test_right() -> None:
    batch = dense(md.ToDense())
    assert batch["ids"] == [[1, 2, 3], [0, 0, 0], [4, 0, 0]]
    assert batch["ids_mask"] == [[True] * 3, [False] * 3, [True, False, False]]
    assert batch["words"] == [[b"a", b"b"], [b"c", b""], [b"", b""]]
    assert batch["n"] == [7, 8, 9]


def test_left() -> None:
    batch = dense(md.ToDense(side="left", pad_values={"ids": -1, "words": "~"}))
    assert batch["ids"] == [[1, 2, 3], [-1, -1, -1], [-1, -1, 4]]
    assert batch["ids_mask"] == [[True] * 3, [False] * 3, [False, False, True]]
    assert batch["words"] == [[b"a", b"b"], [b"~", b"c"], [b"~", b"~"]]
    assert batch["words_mask"] == [[True, True], [False, True], [False, False]]


def test_only_some_features() -> None:
    batch = ROWS.apply(md.ToDense(features=["ids"])).get_single_element()
    assert set(batch) == {"ids", "ids_mask", "n", "words"}
    assert isinstance(batch["words"], tf.RaggedTensor)


@pytest.mark.parametrize(
    ("length", "padded"), [(None, 3), (3, 3), (5, 5), ([2, 4, 8], 4), ([3, 9], 3), ([3], 3)]
)
def test_lengths(length: Any, padded: int) -> None:
    for side in ("right", "left"):
        batch = dense(md.ToDense(features=["ids"], lengths=length, side=side))
        assert (
            [len(row) for row in batch["ids"]]
            == [len(row) for row in batch["ids_mask"]]
            == [padded] * 3
        )


def test_a_list_of_lengths_gives_few_shapes() -> None:
    rows = md.from_rows({"ids": [[0] * n for n in range(1, 17)]})
    batches = rows.apply(md.PaddedBatch(1, lengths=[4, 8, 16]))
    assert sorted({batch["ids"].shape[1] for batch in batches}) == [4, 8, 16]


def test_lengths_by_feature_and_by_level() -> None:
    rows = md.from_rows({"ids": [[1]], "chars": [[["a", "b"], ["c"]]]})
    batch = dense(md.ToDense(lengths={"chars": (3, [1, 4])}), rows)
    assert batch["ids"] == [[1]]
    assert batch["chars"] == [[[b"a", b"b", b"", b""], [b"c", b"", b"", b""], [b""] * 4]]
    assert batch["chars_mask"] == [[True, True, False]]
    assert batch["chars_mask_2"] == [
        [[True, True, False, False], [True, False, False, False], [False] * 4]
    ]


def test_nested_left() -> None:
    rows = md.from_rows({"chars": [[["a", "b"], ["c"]], [["d"]]]})
    batch = dense(md.ToDense(side="left"), rows)
    assert batch["chars"] == [[[b"a", b"b"], [b"", b"c"]], [[b"", b""], [b"", b"d"]]]
    assert batch["chars_mask"] == [[True, True], [False, True]]
    assert batch["chars_mask_2"] == [[[True, True], [False, True]], [[False, False], [False, True]]]


@pytest.mark.parametrize("side", ["right", "left"])
def test_columns_of_floats(side: Any) -> None:
    rows = md.from_rows({"audio": [np.ones([2, 2], np.float32), np.full([1, 2], 3.0, np.float32)]})
    batch = dense(md.ToDense(side=side, pad_values=-0.5), rows)
    short = [[3.0, 3.0], [-0.5, -0.5]]
    assert batch["audio"] == [[[1.0, 1.0], [1.0, 1.0]], short if side == "right" else short[::-1]]


@pytest.mark.parametrize(
    "dtype", [tf.int8, tf.uint16, tf.float16, tf.bfloat16, tf.float64, tf.bool]
)
@pytest.mark.parametrize("side", ["right", "left"])
def test_dtypes_stay(dtype: tf.DType, side: Any) -> None:
    rows = md.from_rows({"x": tf.cast(tf.ragged.constant([[1, 1], [1]]), dtype)})
    batch = rows.apply(md.ToDense(side=side, pad_values=0)).get_single_element()
    assert batch["x"].dtype == dtype
    assert tf.cast(batch["x"], tf.int32).numpy().sum() == 3


@pytest.mark.parametrize(
    ("value", "dtype"), [(-1, tf.uint8), (300, tf.uint8), (1e39, tf.float32), ("x", tf.bool)]
)
def test_a_pad_value_that_does_not_fit_is_refused(value: Any, dtype: tf.DType) -> None:
    rows = md.from_rows({"x": tf.cast(tf.ragged.constant([[1, 1], [1]]), dtype)})
    with pytest.raises(TypeError, match="the pad value of 'x' must be a value of dtype"):
        rows.apply(md.ToDense(pad_values=value))


def test_zero_is_the_zero_of_every_dtype() -> None:
    rows = md.from_rows({"a": [["x"], []], "b": [[True], []], "c": [[1.5], []]})
    batch = dense(md.ToDense(pad_values=0), rows)
    assert (batch["a"][1], batch["b"][1], batch["c"][1]) == ([b""], [False], [0.0])


PAIRS = md.from_rows({"source": [[1, 2, 3], [4]], "target": [["a"], ["b", "c"]], "n": [[5], [6]]})
TOGETHER = {("source", "target"): [(2, 9), (3, 1), (8, 4), (9, 9)]}


@pytest.mark.parametrize("side", ["right", "left"])
def test_lengths_of_features_together(side: Any) -> None:
    batch = PAIRS.apply(md.ToDense(lengths=TOGETHER, side=side)).get_single_element()
    shapes = {name: feature.shape.as_list() for name, feature in batch.items()}
    assert shapes == {
        **{name: [2, 8] for name in ("source", "source_mask")},
        **{name: [2, 4] for name in ("target", "target_mask")},
        **{name: [2, 1] for name in ("n", "n_mask")},
    }
    mask = [1, 1, 1, 0, 0, 0, 0, 0]
    assert batch["source_mask"][0].numpy().tolist() == mask[:: 1 if side == "right" else -1]


def test_lengths_together_beside_others() -> None:
    lengths = {("source", "target"): [[4, 4]], "n": 3}
    batch = dense(md.ToDense(lengths=lengths), PAIRS)
    assert [len(batch[name][0]) for name in ("source", "target", "n")] == [4, 4, 3]
    batch = PAIRS.apply(
        md.ToDense(["n", "target"], {("n", "target"): [(1, 2)]})
    ).get_single_element()
    assert isinstance(batch["source"], tf.RaggedTensor)
    assert batch["target"].shape == [2, 2]


def test_no_rows_take_the_first_lengths() -> None:
    none = PAIRS.map(lambda rows: {name: feature[:0] for name, feature in rows.items()})
    batch = none.apply(md.ToDense(lengths=TOGETHER)).get_single_element()
    assert (batch["source"].shape, batch["target"].shape) == ([0, 2], [0, 9])


def test_nested_features_share_their_outer_length() -> None:
    rows = md.from_rows({"chars": [[["a", "b"], ["c"]]], "ids": [[7, 8, 9]]})
    batch = dense(md.ToDense(lengths={("chars", "ids"): [(2, 2), (3, 4)]}), rows)
    assert batch["chars"] == [[[b"a", b"b"], [b"c", b""], [b"", b""]]]
    assert batch["chars_mask_2"] == [[[True, True], [True, False], [False, False]]]
    assert batch["ids"] == [[7, 8, 9, 0]]


@pytest.mark.parametrize(
    ("lengths", "error", "words"),
    [
        ({("a", "b"): 3}, TypeError, "lengths[('a', 'b')] must be a list of tuples to choose from, got 3."),
        ({("a", "b"): (3, 4)}, TypeError, "lengths[('a', 'b')] must be a list of tuples to choose from, got (3, 4)."),
        ({("a", "b"): []}, TypeError, "lengths[('a', 'b')] must be a list of tuples to choose from, got []."),
        ({("a", "b"): [3]}, TypeError, "the tuples of lengths[('a', 'b')] must be a list of ints, got 3."),
        ({("a", "b"): [(3, 4, 5)]}, ValueError, "each of lengths[('a', 'b')] must have 2 lengths, got (3, 4, 5)."),
        ({("a", "b"): [(3, 0)]}, ValueError, "each of the tuples of lengths[('a', 'b')] must be at least 1, got 0."),
        ({("a", "b"): [(3, 4.0)]}, TypeError, "each of the tuples of lengths[('a', 'b')] must be an int, got 4.0."),
        ({("a", "b"): [(3, 4), (3, 2)]}, ValueError, "each of lengths[('a', 'b')] must be longer in some feature than each one before it, got (3, 2)."),
        ({("a", "b"): [(3, 4), (3, 4)]}, ValueError, "each of lengths[('a', 'b')] must be longer in some feature than each one before it, got (3, 4)."),
        ({("a", "a"): [(3, 4)]}, ValueError, "each key of lengths must name each feature once, got ('a', 'a')."),
        ({("a", 3): [(3, 4)]}, TypeError, "each key of lengths must be the name of a feature, got 3."),
        ({(): [()]}, TypeError, "each key of lengths must list feature names, got ()."),
        ({("a", "b"): [(3, 4)], "b": 3}, ValueError, "lengths must name each feature once, got ['a', 'b', 'b']."),
    ],
)  # fmt: skip
def test_refused_lengths_together(lengths: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(f"ToDense: {words}")):
        md.ToDense(lengths=lengths)


def test_lengths_together_name_ragged_features_that_are_padded() -> None:
    with pytest.raises(ValueError, match=r"ToDense: no feature 'sauce'; .* Did you mean 'source'"):
        PAIRS.apply(md.ToDense(lengths={("sauce", "target"): [(3, 4)]}))
    with pytest.raises(ValueError, match="ToDense: no feature 'target'; the element has"):
        PAIRS.apply(md.ToDense(["source"], lengths={("source", "target"): [(3, 4)]}))


def test_rows_that_fit_into_no_lengths_together_are_refused_when_read() -> None:
    too_short = PAIRS.apply(md.ToDense(lengths={("source", "target"): [(2, 9), (9, 1)]}))
    words = (
        "ToDense: the longest rows of source, target fit together into none of "
        "lengths=[(2, 9), (9, 1)]. Cut them with Truncate, or add a longer choice. "
        "The longest are:] [3 2]"
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(words)):
        list(too_short)
