"""Laws 6 and 7: same seed, same batches, in every process; a saved iterator resumes exactly."""

import functools
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import maskdata as md
from tests.strategies import TRANSFORMS, as_batches, as_rows


def rows_of_all_kinds() -> tf.data.Dataset:
    lengths = [3, 0, 5, 1, 2, 2, 7, 4, 0, 1, 6, 3, 2]
    steps = sum(lengths)

    def ragged(values: Any) -> tf.RaggedTensor:
        return tf.RaggedTensor.from_row_lengths(values, lengths)

    return md.from_rows(
        {
            "ids": ragged(tf.range(steps)),
            "number": tf.range(len(lengths)),
            "words": ragged(tf.constant(["日本", "a"] * (steps // 2))),
            "columns": ragged(tf.reshape(tf.range(3.0 * steps), [steps, 3])),
            "nested": ragged(tf.RaggedTensor.from_row_lengths(tf.range(2 * steps), [2] * steps)),
            "label": tf.constant(["x"] * len(lengths)),
            "flag": tf.constant([True] * len(lengths)),
        },
        block_size=4,
    )


MORE = {
    "Shuffle, reshuffled": md.Shuffle(5, seed=1),
    "all the way to Keras": md.Chain(
        md.Lookup("words", md.Vocabulary(["a"])),
        md.Shuffle(5, seed=1),
        md.BucketBySequenceLength("ids", [2, 5], [3, 2, 2]),
        md.CountBatches(),
        md.ToDense(),
        md.FillRows(2),
        md.ToKeras(x=["ids", "ids_mask"], y="words", sample_weight="words_mask"),
        md.PrefetchToDevice(),
    ),
}


@functools.cache
def transformed(name: str) -> tf.data.Dataset:
    return (TRANSFORMS | MORE)[name](rows_of_all_kinds())


def check_reading_twice(dataset: tf.data.Dataset) -> None:
    assert as_batches(dataset) == as_batches(dataset) != []


@pytest.mark.parametrize("name", TRANSFORMS)
def test_reading_twice_gives_the_same(name: str) -> None:
    check_reading_twice(transformed(name))


def test_the_law_catches_an_order_that_changes() -> None:
    numbers = md.from_rows({"n": list(range(50))}, block_size=10)
    for broken in (
        md.Shuffle(50, seed=1),
        lambda rows: rows.unbatch().shuffle(50, seed=1).batch(10),
    ):
        with pytest.raises(AssertionError):
            check_reading_twice(broken(numbers))


def test_another_seed_gives_another_order() -> None:
    rows = md.from_rows({"n": list(range(50))}, block_size=7)
    orders = [
        [n for block in rows.apply(md.Shuffle(10, seed=seed)) for n in block["n"].numpy().tolist()]
        for seed in (0, 1, 2**40)
    ]
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize("name", [*TRANSFORMS, *MORE])
def test_a_saved_iterator_resumes_exactly(name: str, tmp_path: Path) -> None:
    check_resume(transformed(name), tmp_path)


def check_resume(dataset: tf.data.Dataset, directory: Path) -> None:
    """Save an iterator at every position; restore another one from there, and read on."""
    iterator, restored = iter(dataset), iter(dataset)
    checkpoint = tf.train.Checkpoint(iterator=iterator)
    elements: list[Any] = []
    paths = [checkpoint.save(str(directory / "iterator"))]
    for element in iterator:
        elements.append(_plain(element))
        paths.append(checkpoint.save(str(directory / "iterator")))
    assert len(elements) > 1
    for position, path in enumerate(paths):
        tf.train.Checkpoint(iterator=restored).restore(path)
        assert [_plain(element) for element in restored] == elements[position:]


def test_the_law_catches_what_cannot_be_restored(tmp_path: Path) -> None:
    options = tf.data.Options()
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    random = rows_of_all_kinds().map(lambda rows: {"n": tf.random.uniform([4])})
    with pytest.raises(AssertionError):
        check_resume(random.with_options(options), tmp_path)


def _plain(element: Any) -> Any:
    if isinstance(element, dict):
        return as_rows(element)
    return [part.numpy().tolist() for part in tf.nest.flatten(element)]
