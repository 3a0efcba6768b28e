"""TemporalSplit: every valid step is in one part, wherever the row is padded."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask, TemporalSplit
from tests.unit.test_masked_conv1d import listed, steps

ROWS = [1.0, 2.0, 3.0, None, None], [None, 1.0, 2.0, 3.0, 4.0], [None] * 5


def split(indices_or_sections, *rows):
    return [listed(part) for part in TemporalSplit(indices_or_sections)(steps(*rows))]


def test_two_parts_of_each_row():
    assert split(2, *ROWS) == [
        [[1, 2, None], [None, 1, 2], [None] * 3],
        [[3, None], [3, 4], [None] * 2],
    ]


def test_three_parts_are_those_of_numpy():
    for length in range(7):
        row = np.arange(1, length + 1, dtype="float32").tolist()
        parts = split(3, [*row, None])
        found = [[x for x in part[0] if x is not None] for part in parts]
        assert found == [part.tolist() for part in np.array_split(row, 3)]


def test_the_first_step_the_last_step_and_what_is_between():
    assert split([1, -1], *ROWS) == [
        [[1], [1], [None]],
        [[2, None, None], [None, 2, 3], [None] * 3],
        [[3], [4], [None]],
    ]


@pytest.mark.parametrize("indices", [[2], [0, 2, 4], [9], [-1], [-9], [3, -3], [1, 1]])
def test_no_step_is_lost_or_twice(indices):
    parts = split(indices, *ROWS)
    for number, row in enumerate(ROWS):
        found = [x for part in parts for x in part[number] if x is not None]
        assert found == [x for x in row if x is not None]


def test_masked_steps_between_valid_ones_stay_masked():
    assert split(2, [1.0, None, 3.0, 4.0, None]) == [[[1, None, None]], [[3, 4]]]


def test_masked_steps_are_0():
    parts = TemporalSplit(2)(steps(*ROWS))
    assert all(not np.any(part[~keras_mask(part)]) for part in parts)


@pytest.mark.parametrize("indices", [1, 2, 3, [2], [1, -1]])
@pytest.mark.parametrize("length", [5, None])
def test_shapes_are_known_beforehand(indices, length):
    h, mask = keras.Input((length, 4)), keras.Input((length,), dtype="bool")
    parts = TemporalSplit(indices)(AttachMask()([h, mask]))
    parts = parts if isinstance(parts, list) else [parts]
    if length:
        expected = np.split(np.ones((2, 5, 4)), indices, 1) if isinstance(indices, list) else None
        expected = expected or np.array_split(np.ones((2, 5, 4)), indices, axis=1)
        assert [part.shape[1:] for part in parts] == [part.shape[1:] for part in expected]
    model = keras.Model([h, mask], [*parts, *(keras_mask(part) for part in parts)])
    found = model([np.ones((2, 5, 4)), np.ones((2, 5), bool)])
    for value, valid in zip(found[: len(parts)], found[len(parts) :], strict=True):
        assert value.shape[:2] == valid.shape


def test_ids_and_mixed_precision_stay_exact():
    ids = AttachMask()([tf.constant([[2049, 4097, 7]]), tf.constant([[1, 1, 0]])])
    parts = TemporalSplit(2, dtype="mixed_float16")(ids)
    assert [part.numpy().tolist() for part in parts] == [[[2049, 0]], [[4097]]]
    assert parts[0].dtype == ids.dtype


@pytest.mark.parametrize("wrong", [0, -1, [3, 1], [-1, 2], [-1, -2]])
def test_what_is_not_in_order_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must be a number of parts or steps in order, negative"):
        TemporalSplit(wrong)
