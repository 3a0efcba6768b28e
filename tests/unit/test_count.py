"""CountBatches: the number of batches is known, and remembered only as long as it is true."""

import json
import os
import time
import warnings
from pathlib import Path

import keras
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data import count
from tests.preloaded import run

ROWS = md.from_rows({"ids": [[n] * (n % 4 + 1) for n in range(20)]}, block_size=6)
BUCKET = md.BucketBySequenceLength("ids", [2, 3], [2, 3, 4])


def test_the_number_is_that_of_the_batches() -> None:
    counted = ROWS.apply(BUCKET).apply(md.CountBatches())
    assert int(counted.cardinality()) == len(list(counted)) == len(list(ROWS.apply(BUCKET)))


def test_everything_downstream_keeps_it() -> None:
    chain = md.Chain(
        BUCKET,
        md.CountBatches(),
        md.ToDense(),
        md.FillRows(2),
        md.ToKeras(x="ids", y="ids"),
        md.PrefetchToDevice("/CPU:1"),
    )
    assert int(chain(ROWS).cardinality()) == len(list(ROWS.apply(BUCKET)))


def test_a_known_number_is_left_alone() -> None:
    assert md.CountBatches()(ROWS) is ROWS


def test_another_number_is_an_error_when_read() -> None:
    numbers = tf.Variable(3, dtype=tf.int64)
    changing = tf.data.Dataset.range(10).filter(lambda n: n < numbers).apply(md.CountBatches())
    assert len(list(changing)) == 3
    numbers.assign(5)
    with pytest.raises(
        tf.errors.FailedPreconditionError,
        match="expected to contain 3 elements but contained at least 4",
    ):
        list(changing)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often batches were really counted."""
    counted: list[int] = []
    really = count._count

    def spy(dataset: tf.data.Dataset) -> int:
        counted.append(really(dataset))
        return counted[-1]

    monkeypatch.setattr(count, "_count", spy)
    return counted


def from_file(path: Path, vocabulary: md.Vocabulary, remember: Path, size: int = 2) -> int:
    prepare = md.Chain(
        md.Tokenize("text"),
        md.Lookup("text", vocabulary),
        md.Shuffle(4, seed=1),
        md.BucketBySequenceLength("text", [2], [size, size]),
        md.CountBatches(remember),
    )
    return int(prepare(md.read_text(path)).cardinality())


def test_it_is_remembered_until_something_changes(tmp_path: Path, counts: list[int]) -> None:
    text, remember = tmp_path / "text.txt", tmp_path / "batches.json"
    text.write_text("a\nb c\nd\ne f\ng\n")
    vocabulary = md.Vocabulary(["a", "b"])
    assert [from_file(text, vocabulary, remember) for _ in range(3)] == [3, 3, 3]
    assert counts == [3]
    from_file(text, md.Vocabulary(["a", "c"]), remember)
    from_file(text, vocabulary, remember, size=1)
    assert counts == [3, 3, 5]
    text.write_text("a\nb c\nd\ne f\n")
    assert from_file(text, vocabulary, remember) == 2
    later = time.time() + 10
    os.utime(text, (later, later))
    from_file(text, vocabulary, remember)
    assert counts == [3, 3, 5, 2, 2]
    assert len(json.loads(remember.read_text())) == 5


def test_rows_in_memory_count_too(tmp_path: Path, counts: list[int]) -> None:
    for ids in ([[1], [2]], [[1], [2]], [[1], [3]]):
        md.from_rows({"ids": ids}).apply(md.Chain(BUCKET, md.CountBatches(tmp_path / "n.json")))
    assert len(counts) == 2


def test_another_process_remembers(tmp_path: Path, counts: list[int]) -> None:
    arguments = tmp_path / "text.txt", md.Vocabulary(["a"]), tmp_path / "n.json"
    arguments[0].write_text("a\nb c\n")
    assert run(from_file, *arguments) == 0
    from_file(*arguments)
    assert counts == []


def test_to_keras_warns_of_an_unknown_number() -> None:
    batches = ROWS.apply(md.Chain(BUCKET, md.ToDense()))
    with pytest.warns(UserWarning, match="the number of batches is not known.* Put CountBatches"):
        batches.apply(md.ToKeras(x="ids", y="ids"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches.apply(md.ToKeras(x="ids"))
        batches.repeat().apply(md.ToKeras(x="ids", y="ids"))
        batches.apply(md.CountBatches()).apply(md.ToKeras(x="ids", y="ids"))


def iterations(*stages: object) -> int:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Embedding(30, 1), keras.layers.GlobalAveragePooling1D()])
    model.compile("adam", "mse")
    rows = ROWS.map(lambda block: block | {"y": tf.ones_like(block["ids"].row_lengths())})
    batches = md.Chain(BUCKET, *stages, md.ToDense(), md.ToKeras(x="ids", y="y"))(rows)
    model.fit(batches, epochs=3, verbose=0)
    return int(model.optimizer.iterations)


@pytest.mark.filterwarnings("ignore:ToKeras. the number of batches:UserWarning")
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_the_optimizer_takes_as_many_steps_as_there_are_batches() -> None:
    num_batches = len(list(ROWS.apply(BUCKET)))
    assert iterations(md.CountBatches()) == 3 * num_batches
    assert iterations() > 3 * num_batches  # without it: what Keras 3.15 does
