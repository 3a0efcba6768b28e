"""Reading a dataset -> how often it was read before."""

import functools

import numpy as np
import tensorflow as tf

from maskdata.data import _check

MAX_PASSES = 2**14


def pass_number(who: str) -> tf.data.Dataset:
    """Return a dataset of one element: how often this dataset was read before, int64.

    A variable would do, but tf.data saves no iterator that reads one. The one count of passes that
    it does save is that of its source of random numbers, which takes the next seed of a fixed sequence
    for each pass: the place in that sequence is the number. An iterator that is made and never read,
    as Keras does at the end of an epoch, counts for nothing: the source stands behind a `flat_map`.

    >>> numbers = pass_number("doctest")
    >>> unread = iter(numbers)
    >>> [int(number) for _ in range(3) for number in numbers]
    [0, 1, 2]
    """
    source = _seed_of_this_pass()
    seeds = tf.constant(_seeds_of_all_passes())

    def number_of(seed: tf.Tensor) -> tf.Tensor:
        place = tf.argmax(tf.equal(seeds, seed))
        is_known = tf.equal(tf.gather(seeds, place), seed)
        message = f"{who}: a dataset must be read at most {MAX_PASSES} times. Make a new one."
        with tf.control_dependencies([_check.must_hold(is_known, message)]):
            return tf.identity(place)

    in_graph = tf.autograph.experimental.do_not_convert
    return tf.data.Dataset.range(1).flat_map(in_graph(lambda _: source)).map(in_graph(number_of))


def numbers_of_this_pass(seed: int, seed2: int) -> tf.data.Dataset:
    """Return random numbers without end, int64, others in each pass.

    With two seeds of 0, no other process has them either. The raw op because `tf.data.Dataset.random`
    mixes the global seed into its own: the numbers would depend on what else a program does.
    """
    source = tf.raw_ops.RandomDatasetV2(
        seed=seed,
        seed2=seed2,
        seed_generator=tf.raw_ops.DummySeedGenerator(),
        rerandomize_each_iteration=True,
        output_types=[tf.int64],
        output_shapes=[[]],
    )
    return tf.data.experimental.from_variant(source, tf.TensorSpec([], tf.int64))


def _seed_of_this_pass() -> tf.data.Dataset:
    """Return one element, another one in each pass."""
    return numbers_of_this_pass(0, 1).take(1)


@functools.cache
def _seeds_of_all_passes() -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    passes = _seed_of_this_pass().repeat(MAX_PASSES).batch(MAX_PASSES)
    return passes.get_single_element().numpy()  # type: ignore[no-any-return]
