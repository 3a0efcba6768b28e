"""Law 1: the mask gives the rows back, and comes from row lengths alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import maskdata as md
from maskdata.data._names import mask_name
from maskdata.data._padding import lengths_together
from tests.strategies import Element, Feed, all_kinds, elements, row_lengths

Dense = Callable[[tf.data.Dataset], tf.data.Dataset]


def check_masks(element: Element, to_dense: Dense, side: str) -> None:
    dense = to_dense(tf.data.Dataset.from_tensors(element)).get_single_element()
    for name, rows in element.items():
        if not isinstance(rows, tf.RaggedTensor):
            assert dense[name] is not None
            continue
        mask = dense[mask_name(name)]
        lengths = rows.row_lengths()
        expected = tf.sequence_mask(lengths, tf.shape(mask)[1])
        np.testing.assert_array_equal(mask, expected[:, ::-1] if side == "left" else expected)
        deepest = dense[mask_name(name, rows.ragged_rank)]
        np.testing.assert_array_equal(tf.boolean_mask(dense[name], deepest), rows.flat_values)
        if rows.ragged_rank == 2:
            inner = tf.boolean_mask(tf.reduce_sum(tf.cast(deepest, tf.int64), axis=2), mask)
            np.testing.assert_array_equal(inner, tf.cast(rows.values.row_lengths(), tf.int64))


sides = st.sampled_from(["right", "left"])
pad_values = st.sampled_from([0, 1, -7, 2**31 - 1])


@given(elements(), sides, pad_values)
def test_masks_give_the_rows_back(element: Element, side: Any, pad_value: int) -> None:
    numbers = {
        name: pad_value
        for name, rows in element.items()
        if isinstance(rows, tf.RaggedTensor) and rows.dtype != tf.string
    }
    check_masks(element, md.ToDense(side=side, pad_values=numbers), side)


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_holds_the_pad_value_and_nothing_else(side: Any) -> None:
    names, given_values = ["ids", "words", "columns"], {"ids": -7, "words": "~"}
    pipeline = Feed(md.ToDense(names, side=side, pad_values=given_values, lengths=[8, 9]))

    @given(all_kinds)
    def check(element: Element) -> None:
        [dense] = pipeline.read([element])
        for name, pad_value in {"ids": -7, "words": b"~", "columns": 0}.items():
            padding = tf.boolean_mask(dense[name], ~dense[mask_name(name)])
            assert set(padding.numpy().ravel().tolist()) <= {pad_value}
            assert dense[name].shape[1] == 8

    check()


def _mask_from_values(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return md.ToDense()(dataset).map(lambda batch: batch | {"ids_mask": batch["ids"] != 0})


def _drop_last_row(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return md.ToDense()(
        dataset.map(lambda rows: {name: value[:-1] for name, value in rows.items()})
    )


def _truncate_in_silence(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return md.ToDense()(
        dataset.map(lambda rows: {name: value[:, :2] for name, value in rows.items()})
    )


@pytest.mark.parametrize("broken", [_mask_from_values, _drop_last_row, _truncate_in_silence])
def test_the_law_catches_a_broken_mask(broken: Dense) -> None:
    element = {"ids": tf.ragged.constant([[5, 0, 3], [0]])}
    check_masks(element, md.ToDense(), "right")
    with pytest.raises(AssertionError):
        check_masks(element, broken, "right")


def check_first_fit(choose: Any, choices: list[tuple[int, int]], *row_lengths: list[int]) -> None:
    rows = {
        name: tf.RaggedTensor.from_row_lengths(tf.zeros([sum(n)]), tf.constant(n, tf.int64))
        for name, n in zip("ab", row_lengths, strict=True)
    }
    chosen = choose(rows, {("a", "b"): choices})
    longest = [max(n, default=0) for n in row_lengths]
    fitting = [choice for choice in choices if np.all(np.less_equal(longest, choice))]
    assert (int(chosen["a"]), int(chosen["b"])) == fitting[0]


lengths_of_two = st.lists(st.tuples(*[st.integers(1, 9)] * 2), max_size=5)


@given(lengths_of_two, row_lengths, row_lengths)
def test_lengths_together_are_the_first_that_fit(
    choices: list[tuple[int, int]], a: list[int], b: list[int]
) -> None:
    check_first_fit(lengths_together, [*choices, (9, 9)], a, b)


def _each_alone(rows: Element, lengths: Any) -> dict[str, int]:
    ((names, choices),) = lengths.items()
    longest = [int(tf.reduce_max(rows[name].row_lengths())) for name in names]
    return {
        name: min(n for n in of_name if n >= least)
        for name, of_name, least in zip(names, zip(*choices, strict=True), longest, strict=True)
    }


def test_the_law_catches_lengths_chosen_one_by_one() -> None:
    choices = [(2, 4), (4, 9), (8, 8)]
    check_first_fit(lengths_together, choices, [1, 4], [3, 1])
    with pytest.raises(AssertionError):
        check_first_fit(_each_alone, choices, [1, 4], [3, 1])
