"""FillRows: rows that divide, masks that are nowhere empty, and nothing that counts twice."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import maskdata as md
from maskdata.data import keras_batch
from maskdata.data.fill import fill_rows
from tests.strategies import Element, all_kinds, as_rows

ROWS = md.from_rows(
    {
        "tokens": [[5, 6, 7], [], [8]],
        "tags": [[1, 2, 3], [], [1]],
        "chars": [[["a"], ["b", "c"], []], [], [["d"]]],
        "label": [1, 0, 1],
    }
)


def filled(multiple_of: int, side: Any = "right") -> dict[str, Any]:
    chain = md.Chain(md.ToDense(side=side), md.FillRows(multiple_of))
    return {name: t.numpy().tolist() for name, t in ROWS.apply(chain).get_single_element().items()}


def test_right() -> None:
    batch = filled(2)
    assert batch["tokens"] == [[5, 6, 7], [0, 0, 0], [8, 0, 0], [5, 6, 7]]
    assert batch["tokens_mask"] == [
        [True] * 3,
        [True, False, False],
        [True, False, False],
        [True, False, False],
    ]
    assert (
        batch["chars_mask_2"][1]
        == batch["chars_mask_2"][3]
        == [[True, False], [False] * 2, [False] * 2]
    )
    assert batch["label"] == [1, 0, 1, 1]
    assert batch["row_mask"] == [True, True, True, False]
    assert batch["tokens_row_mask"] == [True, False, True, False]


def test_left() -> None:
    batch = filled(5, side="left")
    assert batch["tokens_mask"] == [[True] * 3, *[[False, False, True]] * 4]
    assert batch["chars_mask_2"][1] == [[False] * 2, [False] * 2, [False, True]]
    assert batch["row_mask"] == [True, True, True, False, False]


def test_a_batch_of_empty_rows_gets_one_step() -> None:
    rows = md.from_rows(
        {
            "ids": tf.ragged.constant([[], []], dtype=tf.int32),
            "words": tf.ragged.constant([[], []], dtype=tf.string),
        }
    )
    batch = rows.apply(md.Chain(md.ToDense(), md.FillRows(3))).get_single_element()
    assert batch["ids"].numpy().tolist() == [[0]] * 3
    assert batch["words"].numpy().tolist() == [[b""]] * 3
    assert batch["ids_mask"].numpy().tolist() == [[True]] * 3
    assert batch["ids_row_mask"].numpy().tolist() == [False] * 3


@given(all_kinds, st.integers(1, 5), st.sampled_from(["right", "left"]))
def test_rows_divide_and_nothing_changes(element: Element, multiple_of: int, side: Any) -> None:
    dense = tf.data.Dataset.from_tensors(element).apply(md.ToDense(side=side)).get_single_element()
    padded = ["ids", "words", "columns", "nested"]
    batch = fill_rows(dense, padded, multiple_of)
    rows = len(element["number"])
    assert all(value.shape[0] % multiple_of == 0 for value in batch.values())
    assert int(tf.reduce_sum(tf.cast(batch["row_mask"], tf.int32))) == rows
    if dense["ids"].shape[1] and dense["nested"].shape[1:].num_elements():
        before, after = as_rows(dense), as_rows({name: batch[name][:rows] for name in dense})
        for name in ("ids", "number", "words", "label", "flag"):
            assert [row[name] for row in before] == [row[name] for row in after]
    for name in padded:
        mask = batch[f"{name}_mask"].numpy()
        has_steps = batch[f"{name}_row_mask"].numpy()
        assert mask.any(axis=1).all()
        assert (mask.sum(axis=1)[~has_steps] == 1).all()
        assert not has_steps[rows:].any()


@pytest.mark.parametrize("weight", [None, "tags_mask"])
def test_fillers_and_empty_rows_weigh_nothing(weight: str | None) -> None:
    to_keras = md.ToKeras(x=["tokens", "tokens_mask"], y="tags", sample_weight=weight)
    x, y, weights = ROWS.apply(
        md.Chain(md.ToDense(), md.FillRows(2), to_keras)
    ).get_single_element()
    assert weights.numpy().tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert x["tokens_mask"].numpy().sum(axis=1).tolist() == [3, 1, 1, 1]
    assert y.shape == (4, 3)


def test_weights_of_targets_without_steps() -> None:
    chain = md.Chain(
        md.ToDense(), md.FillRows(2), md.ToKeras(x="tokens", y={"a": "label", "b": "tags"})
    )
    *_, weights = ROWS.apply(chain).get_single_element()
    assert weights["a"].numpy().tolist() == [1, 0, 1, 0]
    assert weights["b"].numpy().tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]]


def check_the_loss_with_fillers() -> None:
    predictions = np.random.default_rng(0).normal(size=[8, 3, 5]).astype(np.float32)
    loss = md.losses.TokenMean(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = []
    for stages in ([], [md.FillRows(4)], [md.FillRows(8)]):
        chain = md.Chain(
            md.ToDense(), *stages, md.ToKeras(x="tokens", y="tags", sample_weight="tags_mask")
        )
        _, y, weights = ROWS.apply(chain).get_single_element()
        losses.append(float(loss(y, predictions[: len(y)], sample_weight=weights)))
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


def test_the_loss_is_the_same_with_fillers() -> None:
    check_the_loss_with_fillers()


def test_the_law_catches_fillers_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_batch, "_counted_rows", lambda element, target: None)
    with pytest.raises(AssertionError):
        check_the_loss_with_fillers()


def test_describe_counts_them() -> None:
    chain = md.Chain(md.ToDense(features=["tokens"]), md.FillRows(4))
    description = md.describe(ROWS.map(lambda b: {"tokens": b["tokens"]}).apply(chain), source=ROWS)
    assert (description.rows, description.filler_rows, description.rows_lost) == (3, 1, 0)
    tokens = description.features["tokens"]
    assert (tokens.steps, tokens.slots, tokens.empty_rows) == (4, 12, 1)
    assert "3 rows in 1 batches, 0 rows lost, 1 filler rows" in str(description)
