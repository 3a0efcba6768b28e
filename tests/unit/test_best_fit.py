"""Placing by best fit: nothing overflows, little room is left, and few rows wait."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from maskdata.data import _best_fit, _matching
from maskdata.data._best_fit import MAY_WAIT, best_fit
from maskdata.data._matching import match, running_maximum
from tests.speed.packed_rows import first_fit_efficiency, lognormal_lengths

BATCH_SIZE = 2


@given(st.lists(st.integers(-(2**30), 2**30), max_size=20))
def test_running_maximum_is_exact(numbers: list[int]) -> None:
    found = running_maximum(tf.constant(numbers, tf.int32))
    assert found.numpy().tolist() == np.maximum.accumulate(np.array(numbers, int)).tolist()


def test_running_maximum_of_many_that_are_the_same() -> None:
    numbers = np.repeat([2**30, 2**30 + 1], 5_000).astype(np.int32)
    assert (running_maximum(tf.constant(numbers)).numpy() == numbers).all()


def test_a_bin_takes_several_rows_of_like_length_in_one_round() -> None:
    length, room = tf.constant([0.7, 0.2, 0.2, 0.2, 0.2]), tf.constant([0.9, 0.6])
    for at_most, expected in ((None, [(0, 0), (1, 1), (2, 1)]), ([9, 1], [(0, 0), (1, 1)])):
        rows, bins = match(length, room, None if at_most is None else tf.constant(at_most))
        assert list(zip(rows.numpy(), bins.numpy(), strict=True)) == expected


Placing = Callable[..., np.ndarray]


def placing(num_features: int = 1, max_segments: int | None = None) -> Placing:
    """Return `best_fit`, traced once."""

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, num_features], tf.int64),
            tf.TensorSpec([num_features], tf.int64),
            tf.TensorSpec([], tf.bool),
        ],
    )
    def place(lengths: tf.Tensor, capacities: tf.Tensor, is_end: tf.Tensor) -> tf.Tensor:
        return best_fit(
            lengths,
            capacities,
            batch_size=BATCH_SIZE,
            max_segments=max_segments,
            seed=0,
            is_end=is_end,
        )

    def place_array(lengths: np.ndarray, capacities: Any, *, is_end: bool) -> np.ndarray:
        lengths = lengths.reshape([-1, num_features]).astype(np.int64)
        return place(lengths, np.array(capacities, np.int64), is_end).numpy()

    return place_array


@pytest.mark.parametrize(("num_features", "max_segments"), [(1, None), (3, None), (2, 2)])
def test_packed_rows_hold_no_more_than_they_may(
    num_features: int, max_segments: int | None
) -> None:
    place = placing(num_features, max_segments)

    @given(st.data())
    def check(data: st.DataObject) -> None:
        sizes = st.lists(st.integers(1, 9), min_size=num_features, max_size=num_features)
        capacities = data.draw(sizes)
        row = st.tuples(*(st.integers(1, capacity) for capacity in capacities))
        lengths = np.array(data.draw(st.lists(row, max_size=25)), int).reshape([-1, num_features])
        for is_end in (False, True):
            packed_row = place(lengths, capacities, is_end=is_end)
            leaving = packed_row >= 0
            num_packed_rows = packed_row.max(initial=-1) + 1
            assert set(packed_row[leaving]) == set(range(num_packed_rows))
            assert leaving.all() if is_end else num_packed_rows % BATCH_SIZE == 0
            for number in range(num_packed_rows):
                rows = lengths[packed_row == number]
                assert (rows.sum(0) <= capacities).all()
                assert max_segments is None or len(rows) <= max_segments

    check()


def efficiency(place: Placing, blocks: list[np.ndarray], length: int) -> float:
    """Return the share of real steps when these blocks are packed; check that few rows wait."""
    waiting, used, num_packed_rows = np.zeros(0, int), 0, 0
    for block, is_end in zip([*blocks, waiting], [False] * len(blocks) + [True], strict=True):
        at_hand = np.concatenate([waiting, block])
        packed_row = place(at_hand, [length], is_end=is_end)
        used += at_hand[packed_row >= 0].sum()
        num_packed_rows += packed_row.max(initial=-1) + 1
        waiting = at_hand[packed_row < 0]
        most_in_a_batch = BATCH_SIZE * np.bincount(packed_row + 1)[1:].max(initial=1)
        assert len(waiting) <= MAY_WAIT * len(at_hand) + most_in_a_batch
    assert len(waiting) == 0
    return used / (num_packed_rows * length)


@pytest.mark.parametrize("rows_in_one", [25, 3])
def test_little_room_is_left(rows_in_one: int, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = list(lognormal_lengths(3 * 4096, 512 / rows_in_one, 512).reshape([3, 4096]))
    best = efficiency(placing(), blocks, 512)
    assert best > 0.97
    assert best > first_fit_efficiency(np.concatenate(blocks), 512)
    monkeypatch.setattr(_matching, "GREED", 0.01)  # one row a round
    monkeypatch.setattr(_best_fit, "NUM_WAVES", 1)
    assert efficiency(placing(), blocks, 512) < best


@pytest.mark.parametrize("length", [4, 5, 6, 8])
def test_rows_that_are_all_alike_do_not_pile_up(length: int) -> None:
    found = efficiency(placing(), [np.full(500, length)] * 4, 8)
    assert found == pytest.approx(8 // length * length / 8, rel=1e-3)


def test_features_of_other_lengths_are_kept_in_balance() -> None:
    lengths = np.stack([lognormal_lengths(4096, 60, 512, seed) for seed in (0, 1)], axis=1)
    packed_row = placing(2)(lengths, [512, 512], is_end=False)
    assert lengths[packed_row >= 0].sum() / ((packed_row.max() + 1) * 1024) > 0.92


def test_copies_of_a_feature_change_nothing() -> None:
    lengths = lognormal_lengths(500, 60, 512)[:, None]
    alone = placing()(lengths, [512], is_end=False)
    assert (placing(3)(np.repeat(lengths, 3, axis=1), [512] * 3, is_end=False) == alone).all()


def test_packed_rows_are_mixed_by_seed() -> None:
    lengths = tf.constant(lognormal_lengths(60, 3, 8)[:, None])
    capacities, is_end = tf.constant([8], tf.int64), tf.ones([], tf.bool)
    arguments = {"batch_size": 1, "max_segments": None, "is_end": is_end}
    first, again, other = (
        best_fit(lengths, capacities, seed=seed, **arguments).numpy().tolist() for seed in (0, 0, 1)
    )
    assert first == again != other
    assert len(set(zip(first, other, strict=True))) == max(first) + 1  # the same rows together
