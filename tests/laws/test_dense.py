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
from tests.strategies import Element, elements

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
@given(element=elements(kinds=("zeros", "words")))
def test_padding_holds_the_pad_value_and_nothing_else(side: Any, element: Element) -> None:
    to_dense = md.ToDense(side=side, pad_values={"ids": -7, "words": "~"}, lengths=[8, 9])
    dense = to_dense(tf.data.Dataset.from_tensors(element)).get_single_element()
    for name, pad_value in {"ids": -7, "words": b"~", "zeros": 0}.items():
        padding = tf.boolean_mask(dense[name], ~dense[mask_name(name)])
        assert set(padding.numpy().tolist()) <= {pad_value}
        assert dense[name].shape[1] == 8


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
