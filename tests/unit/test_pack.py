"""Pack and unpack: worked examples, what is refused, and what the specs promise."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data._in_order import plan_segments
from tests.strategies import FIVE_ROWS

ROWS = md.from_rows({"tokens": [[1, 2, 3], [4, 5], [], [6], [7, 8, 9]], "label": [0, 1, 2, 3, 4]})


def packed(rows: tf.data.Dataset, **arguments: Any) -> list[dict[str, Any]]:
    """Return the batches as plain Python values; masks as 0 and 1."""
    arguments = {"lengths": {"tokens": 4}, "batch_size": 2} | arguments
    return [
        {name: (feature.numpy() + 0).tolist() for name, feature in batch.items()}
        for batch in rows.apply(md.Pack(**arguments))
    ]


def test_first_fit_fills_the_first_packed_row_that_has_room() -> None:
    assert packed(ROWS, method="first_fit") == [
        {
            "tokens": [[1, 2, 3, 0], [4, 5, 6, 0]],
            "tokens_segment_ids": [[1, 1, 1, 0], [1, 1, 2, 0]],
            "tokens_positions": [[0, 1, 2, 0], [0, 1, 0, 0]],
            "tokens_mask": [[1, 1, 1, 0], [1, 1, 1, 0]],
            "label": [[0, 2], [1, 3]],
            "segment_mask": [[1, 1], [1, 1]],
        },
        {
            "tokens": [[7, 8, 9, 0], [0, 0, 0, 0]],
            "tokens_segment_ids": [[1, 1, 1, 0], [0, 0, 0, 0]],
            "tokens_positions": [[0, 1, 2, 0], [0, 0, 0, 0]],
            "tokens_mask": [[1, 1, 1, 0], [0, 0, 0, 0]],
            "label": [[4], [0]],
            "segment_mask": [[1], [0]],
        },
    ]


def test_first_fit_is_that_of_a_loop_over_rows() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 9, 200)
    rows = md.from_rows({"tokens": [[0] * n for n in lengths], "n": np.arange(200)}, block_size=7)
    found: list[list[int]] = []
    for batch in rows.apply(md.Pack({"tokens": 8}, 3, method="first_fit", max_segments=3)):
        ragged = tf.ragged.boolean_mask(batch["n"], batch["segment_mask"])
        found += ragged.to_list()

    expected: list[list[int]] = []
    batch = [[] for _ in range(3)]
    for row, steps in enumerate(lengths):
        fits = [sum(lengths[r] for r in bin) + steps <= 8 and len(bin) < 3 for bin in batch]
        if not any(fits):
            expected += batch
            batch, fits = [[] for _ in range(3)], [True]
        batch[fits.index(True)].append(row)
    assert found == expected + batch


def test_concat_then_split_splits_where_a_packed_row_ends() -> None:
    [first, last] = packed(ROWS, method="concat_then_split")
    assert first == {
        "tokens": [[1, 2, 3, 4], [5, 6, 7, 8]],
        "tokens_segment_ids": [[1, 1, 1, 2], [1, 3, 4, 4]],
        "tokens_positions": [[0, 1, 2, 0], [0, 0, 0, 1]],
        "tokens_mask": [[1, 1, 1, 1], [1, 1, 1, 1]],
        "label": [[0, 1, 0, 0], [1, 2, 3, 4]],
        "tokens_window": [[0, 0, 0, 0], [1, 0, 0, 0]],
        "segment_mask": [[1, 1, 0, 0], [1, 1, 1, 1]],
    }
    assert last["tokens"] == [[9, 0, 0, 0], [0, 0, 0, 0]]
    assert (last["label"], last["tokens_window"]) == ([[4], [0]], [[1], [0]])


def test_a_row_may_be_many_packed_rows_long() -> None:
    row, window, steps, packed_row = plan_segments(
        tf.constant(2**40 + 1, tf.int64), tf.constant([9, 0, 0], tf.int64), length=4
    )
    assert row.numpy().tolist() == [0, 0, 0, 1, 2]
    assert window.numpy().tolist() == [0, 1, 2, 0, 0]
    assert steps.numpy().tolist() == [3, 4, 2, 0, 0]
    assert (packed_row.numpy() - 2**38).tolist() == [0, 1, 2, 2, 2]


def test_best_fit_lets_rows_wait_that_find_nothing_to_fill_the_gap() -> None:
    lengths = [5] * 12 + [3] * 8 + [5] * 8 + [3] * 12
    rows = md.from_rows({"tokens": [[0] * n for n in lengths]})
    batches = list(rows.apply(md.Pack({"tokens": 8}, 1, buffer_size=20)))
    assert len(batches) == 20
    assert all(batch["tokens_mask"].numpy().all() for batch in batches)


def test_rows_without_steps_do_not_all_go_to_one_packed_row() -> None:
    rows = md.from_rows({"tokens": [[7], *[[]] * 9], "n": np.arange(10)})
    [batch] = rows.apply(md.Pack({"tokens": 4}, 3, "first_fit"))
    assert batch["segment_mask"].shape == [3, 4]
    assert sorted(md.unpack(batch)["n"].numpy()) == list(range(10))


@pytest.mark.parametrize("method", ["best_fit", "first_fit"])
def test_drop_remainder_drops_a_last_batch_that_is_not_full(method: Any) -> None:
    rows = md.from_rows({"tokens": [[1] * 4] * 5})
    batches = packed(rows, method=method, drop_remainder=True)
    assert [batch["segment_mask"] for batch in batches] == [[[1], [1]]] * 2


def test_several_features_pack_together() -> None:
    rows = md.from_rows({"source": [[1], [2], [3]], "target": [[1, 1, 1], [2, 2], [3]]})
    [batch] = packed(rows, lengths={"source": 3, "target": 4}, method="first_fit")
    assert batch["source"] == [[1, 3, 0], [2, 0, 0]]
    assert batch["target"] == [[1, 1, 1, 3], [2, 2, 0, 0]]
    assert batch["target_segment_ids"] == [[1, 1, 1, 2], [1, 1, 0, 0]]


def test_pad_values_fill_what_has_steps() -> None:
    rows = md.from_rows({"tokens": [["a", "b"]], "tags": [[1, 2]], "label": ["x"]})
    lengths, pad_values = {"tokens": 3, "tags": 4}, {"tokens": "-", "tags": -1}
    [batch] = rows.apply(md.Pack(lengths, 1, "first_fit", pad_values=pad_values, max_segments=2))
    assert batch["tokens"].numpy().tolist() == [[b"a", b"b", b"-"]]
    assert batch["tags"].numpy().tolist() == [[1, 2, -1, -1]]
    assert batch["label"].numpy().tolist() == [[b"x", b""]]


def test_specs_tell_the_truth() -> None:
    rows = md.from_rows(FIVE_ROWS)
    lengths = {"ids": 3, "words": 4, "columns": 5, "nested": 6}
    spec = rows.apply(md.Pack(lengths, 2, "first_fit", max_segments=3)).element_spec
    for name, length in lengths.items():
        for companion in ("segment_ids", "positions"):
            assert spec[f"{name}_{companion}"] == tf.TensorSpec([2, length], tf.int32)
        assert spec[f"{name}_mask"] == tf.TensorSpec([2, length], tf.bool)
    assert spec["columns"] == tf.TensorSpec([2, 5, 3], tf.float32)
    assert spec["nested"] == tf.TensorSpec([2, 6, None], tf.int64)
    assert spec["nested_mask_2"] == tf.TensorSpec([2, 6, None], tf.bool)
    assert spec["label"] == tf.TensorSpec([2, 3], tf.string)
    assert spec["segment_mask"] == tf.TensorSpec([2, 3], tf.bool)
    unlimited = ROWS.apply(md.Pack({"tokens": 4}, 2, "first_fit")).element_spec
    assert unlimited["label"].shape.as_list() == [2, None]


def test_what_a_model_says_of_each_step_is_unpacked_like_the_steps() -> None:
    [batch] = ROWS.apply(md.Pack({"tokens": 4}, 3, method="first_fit"))
    scores = tf.cast(batch["tokens"], tf.float32)[..., None] * [1.0, 0.5]
    outputs = {
        "scores": scores.numpy(),
        "scores_segment_ids": batch["tokens_segment_ids"],
        "segment_mask": batch["segment_mask"],
    }
    rows = md.unpack(outputs)
    assert list(rows) == ["scores"]
    assert rows["scores"].to_list() == [
        [[1.0, 0.5], [2.0, 1.0], [3.0, 1.5]],
        [],
        [[4.0, 2.0], [5.0, 2.5]],
        [[6.0, 3.0]],
        [[7.0, 3.5], [8.0, 4.0], [9.0, 4.5]],
    ]


def test_a_packed_dataset_is_unpacked_in_the_graph() -> None:
    rows = ROWS.apply(md.Pack({"tokens": 4}, 2, "first_fit")).map(md.unpack)
    assert rows.element_spec["tokens"].shape.as_list() == [None, None]
    assert sorted(n for block in rows for n in block["label"].numpy()) == [0, 1, 2, 3, 4]


def pack(**changes: Any) -> md.Pack:
    return md.Pack(**({"lengths": {"tokens": 4}, "batch_size": 2} | changes))


BUILT: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: pack(lengths={}), TypeError, "Pack: lengths must map features to lengths, got {}."),
    (lambda: pack(lengths={"tokens": 0}), ValueError, "Pack: lengths['tokens'] must be at least 1, got 0."),
    (lambda: pack(batch_size=0), ValueError, "Pack: batch_size must be at least 1, got 0."),
    (lambda: pack(method="best"), ValueError, "Pack: method must be one of ['best_fit', 'first_fit', 'concat_then_split'], got 'best'."),
    (lambda: pack(max_segments=0), ValueError, "Pack: max_segments must be at least 1, got 0."),
    (lambda: pack(drop_remainder=None), TypeError, "Pack: drop_remainder must be True or False, got None."),
    (lambda: pack(buffer_size=1.5), TypeError, "Pack: buffer_size must be an int, got 1.5."),
    (lambda: pack(seed=-1), ValueError, "Pack: seed must be at least 0, got -1."),
    (lambda: pack(pad_values=np.nan), ValueError, "Pack: pad_values['tokens'] must be finite, got nan."),
    (lambda: pack(pad_values={"token": 1}), ValueError, "Pack: no feature 'token'; the element has ['tokens']. Did you mean 'tokens'?"),
    (lambda: pack(method="concat_then_split", lengths={"a": 3, "b": 4}), ValueError, "Pack: all lengths must be the same with method='concat_then_split', got {'a': 3, 'b': 4}."),
    (lambda: md.unpack({"tokens": [[1]]}), ValueError, "unpack: a packed batch must have 'segment_mask', got ['tokens']. Pack makes it: keep it with the features."),
]  # fmt: skip


@pytest.mark.parametrize(("build", "error", "words"), BUILT, ids=[words for *_, words in BUILT])
def test_built(build: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        build()


WITH_TAGS = md.from_rows({"tokens": [[1, 2, 3, 4, 5], [6]], "tags": [[1, 2], [3]]})

APPLIED: list[tuple[Any, tf.data.Dataset, str]] = [
    (pack(), WITH_TAGS, "Pack: ragged feature 'tags' must be in lengths, got RaggedTensorSpec("),
    (pack(lengths={"label": 3}), ROWS.map(lambda row: {"label": row["label"]}), "Pack: feature 'label' must be ragged"),
    (pack(lengths={"tokens": 3, "token": 4}), ROWS, "Pack: no feature 'token'; the element has ['label', 'tokens']. Did you mean 'tokens'?"),
    (pack(), ROWS.map(lambda row: row | {"tokens_mask": row["label"]}), "Pack: must not overwrite feature 'tokens_mask'"),
    (pack(), ROWS.map(lambda row: row | {"segment_mask": row["label"]}), "Pack: must not overwrite feature 'segment_mask'"),
    (pack(method="concat_then_split"), ROWS.apply(md.SplitLong(["tokens"], 2)), "Pack: must not overwrite feature 'tokens_window'"),
]  # fmt: skip


@pytest.mark.parametrize(("transform", "rows", "words"), APPLIED, ids=[w for *_, w in APPLIED])
def test_applied(transform: Any, rows: tf.data.Dataset, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        rows.apply(transform)


BOTH = {"tokens": 4, "tags": 4}
UNEVEN = WITH_TAGS.map(lambda row: row | {"tags": row["tags"][1:]})
LONG = r"Pack: rows of tokens must have at most 4 steps, got ?\] \[5\] \[. Raise the length; or split rows with SplitLong, leave them out with DropLong or cut them with Truncate"
READ: list[tuple[Any, tf.data.Dataset, str]] = [
    (pack(lengths=BOTH, method="first_fit"), WITH_TAGS, LONG),
    (pack(lengths=BOTH, method="concat_then_split"), WITH_TAGS, "Pack: tokens, tags must have the same steps in each row to be split together. Use best_fit"),
    (pack(lengths=BOTH, method="first_fit"), UNEVEN, "Pack: all features must have the same number of rows, got "),
    (pack(method="concat_then_split", max_segments=1), ROWS, r"Pack: packed rows must have at most max_segments=1 segments, got ?\] \[4\] \[. Raise max_segments, or use best_fit"),
]  # fmt: skip


@pytest.mark.parametrize(("transform", "rows", "words"), READ)
def test_read(transform: Any, rows: tf.data.Dataset, words: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        list(rows.apply(transform))


def test_segment_ids_of_another_batch_are_refused() -> None:
    batch = {"n": [[1, 2]], "n_segment_ids": [[1, 3]], "segment_mask": [[True, True]]}
    with pytest.raises(tf.errors.InvalidArgumentError, match="unpack: segment ids must be at most"):
        md.unpack(batch)


def test_segments_that_are_no_rows_get_no_weight() -> None:
    rows = md.from_rows({"tokens": [[1, 2], [3], [4, 5, 6]], "label": [1, 2, 3]})
    batches = rows.apply(md.Pack({"tokens": 3}, batch_size=2, method="first_fit"))
    batches = batches.apply(tf.data.experimental.assert_cardinality(1))
    for y, weights in (("label", [[1, 1], [1, 0]]), ("tokens", [[1, 1, 1], [1, 1, 1]])):
        [(_, _, sample_weight)] = batches.apply(md.ToKeras(x="tokens", y=y))
        assert sample_weight.numpy().tolist() == weights
