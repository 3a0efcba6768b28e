"""Shuffle mixes as tf.data's own shuffle with the same buffer does."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data.shuffle import leaving_times

NUM_ROWS = 20_000


def rank_correlation(order: np.ndarray) -> float:
    """Return Spearman's correlation between input and output positions."""
    return float(np.corrcoef(np.arange(len(order)), order)[0, 1])


def ours(buffer_size: int, seed: int, block_size: int = 512) -> np.ndarray:
    rows = md.from_rows({"n": np.arange(NUM_ROWS)}, block_size=block_size)
    return np.concatenate(
        [block["n"].numpy() for block in rows.apply(md.Shuffle(buffer_size, seed=seed))]
    )


def stock(buffer_size: int, seed: int) -> np.ndarray:
    shuffled = tf.data.Dataset.range(NUM_ROWS).shuffle(buffer_size, seed=seed).batch(NUM_ROWS)
    return shuffled.get_single_element().numpy()


@pytest.mark.parametrize("buffer_size", [2, 100, 1_000, 5_000, 19_000, 20_000, 50_000])
def test_it_mixes_as_well_as_tf_data_with_the_same_buffer(buffer_size: int) -> None:
    mine, theirs = (
        np.mean([abs(rank_correlation(order(buffer_size, seed))) for seed in range(5)])
        for order in (ours, stock)
    )
    assert mine == pytest.approx(theirs, abs=0.02)
    moved = [np.std(order(buffer_size, 1) - np.arange(NUM_ROWS)) for order in (ours, stock)]
    assert moved[0] == pytest.approx(moved[1], rel=0.1)


def test_neighbours_are_torn_apart() -> None:
    order = ours(1_000, seed=3)
    neighbours = np.abs(np.diff(order))
    assert np.mean(neighbours < 10) < 0.02
    assert (
        abs(
            np.corrcoef(order[:-1] - np.arange(NUM_ROWS - 1), order[1:] - np.arange(1, NUM_ROWS))[
                0, 1
            ]
        )
        < 0.05
    )


def test_a_small_dataset_is_shuffled_evenly() -> None:
    numbers = tf.range(3, dtype=tf.int64)
    times = [
        leaving_times(numbers, 3, tf.constant(seed, tf.int64)).numpy() for seed in range(1_200)
    ]
    orders = Counter(tuple(np.argsort(time).tolist()) for time in times)
    assert len(orders) == 6
    assert max(orders.values()) < 1.3 * min(orders.values())


def test_a_buffer_of_one_mixes_nothing() -> None:
    assert ours(1, seed=0).tolist() == list(range(NUM_ROWS))


def test_the_buffer_holds_about_as_many_rows_as_asked() -> None:
    numbers = tf.range(NUM_ROWS, dtype=tf.int64)
    leaves_at = leaving_times(numbers, 1_000, tf.constant(5, tf.int64)).numpy()
    for seen in (1_000, 5_000, 15_000):
        assert np.sum(leaves_at[:seen] >= seen - 1_000) == pytest.approx(1_000, rel=0.15)


def test_times_do_not_depend_on_where_the_stretch_begins() -> None:
    seed = tf.constant(3, tf.int64)
    whole = leaving_times(tf.range(100, dtype=tf.int64), 10, seed).numpy()
    for start, end in ((0, 1), (1, 2), (7, 50), (8, 100), (99, 100), (5, 5)):
        part = leaving_times(tf.range(start, end, dtype=tf.int64), 10, seed)
        assert part.numpy().tolist() == whole[start:end].tolist()


def test_no_block_is_empty() -> None:
    rows = md.from_rows({"n": np.arange(100)}, block_size=1)
    assert min(len(block["n"]) for block in rows.apply(md.Shuffle(50, seed=1))) >= 1
