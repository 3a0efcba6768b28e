"""Laws 2 and 4: no row is lost, and no answer depends on how the rows were cut into blocks."""

from collections import Counter
from typing import Any

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import maskdata as md
from maskdata.data import _blocks, _windows, shuffle
from tests.strategies import (
    TRANSFORMS,
    Element,
    Feed,
    all_kinds,
    all_rows,
    as_rows,
    blocks,
    count_rows,
    cut,
    cuts,
    feed,
)

MOVING = ("Shuffle", "RaggedBatch", "BucketBySequenceLength")
KEEPS_BLOCKS = ("Tokenize", "Lookup", "Truncate", "Shuffle")


def count(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(repr(row) for row in rows)


def check_nothing_is_lost(pipeline: Feed, element: Element, bounds: list[int]) -> None:
    batches = pipeline.read(cut(element, bounds))
    assert count([row for batch in batches for row in as_rows(batch)]) == count(as_rows(element))


@pytest.mark.parametrize("name", MOVING)
@given(data=st.data())
def test_nothing_is_lost(name: str, data: st.DataObject) -> None:
    element = data.draw(all_kinds)
    check_nothing_is_lost(feed(name), element, data.draw(cuts(count_rows(element))))


@pytest.mark.parametrize("name", TRANSFORMS)
@given(data=st.data())
def test_every_row_comes_out_once(name: str, data: st.DataObject) -> None:
    element = data.draw(all_kinds)
    batches = feed(name).read(cut(element, data.draw(cuts(count_rows(element)))))
    numbers = [number for batch in batches for number in batch["number"].numpy().tolist()]
    assert sorted(numbers) == list(range(count_rows(element)))


@pytest.mark.parametrize("name", TRANSFORMS)
@given(data=st.data())
def test_the_answer_does_not_depend_on_the_blocks(name: str, data: st.DataObject) -> None:
    element = data.draw(all_kinds)
    answers: list[Any] = []
    for _ in range(2):
        read = feed(name).read(cut(element, data.draw(cuts(count_rows(element)))))
        batches = [as_rows(batch) for batch in read]
        answers.append([row for b in batches for row in b] if name in KEEPS_BLOCKS else batches)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("fault", ["drop a row", "repeat a row"])
def test_the_law_catches_a_lost_row(name: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [1, 2, 0, 1, 1]
    ragged = tf.RaggedTensor.from_row_lengths(tf.range(5, dtype=tf.int64), lengths)
    element = {
        "ids": ragged,
        "number": tf.range(5),
        "words": tf.strings.as_string(ragged),
        "columns": tf.RaggedTensor.from_row_lengths(tf.ones([5, 3]), lengths),
        "nested": tf.RaggedTensor.from_row_lengths(ragged, lengths),
        "label": tf.constant(list("abcde")),
        "flag": tf.constant([True] * 5),
    }
    check_nothing_is_lost(feed(name), element, [0, 2, 5])

    take = _blocks.take_rows

    def broken(rows: Any, indices: tf.Tensor) -> Any:
        drop = fault == "drop a row"
        return take(rows, indices[:-1] if drop else tf.concat([indices, indices[:1]], axis=0))

    for module in (_blocks, _windows, shuffle):
        monkeypatch.setattr(module, "take_rows", broken)

    with pytest.raises((AssertionError, tf.errors.InvalidArgumentError)):
        check_nothing_is_lost(Feed(TRANSFORMS[name]), element, [0, 2, 5])


@given(drawn=blocks(), size=st.integers(1, 5))
def test_what_drop_remainder_drops_is_counted(
    drawn: tuple[Element, tf.data.Dataset], size: int
) -> None:
    element, dataset = drawn
    batches = dataset.apply(md.RaggedBatch(size, drop_remainder=True))
    description = md.describe(batches, source=dataset)
    assert description.rows_lost == count_rows(element) % size
    assert description.rows == count_rows(element) - count_rows(element) % size


@given(blocks(kinds=("words",)), st.integers(1, 6), st.sampled_from(["right", "left"]))
def test_what_truncate_cuts_is_counted(
    drawn: tuple[Element, tf.data.Dataset], length: int, side: Any
) -> None:
    element, dataset = drawn
    shortened = dataset.apply(md.Truncate({"ids": length}, side=side))
    for before, after in zip(as_rows(element), all_rows(shortened), strict=True):
        kept = before["ids"][:length] if side == "right" else before["ids"][-length:]
        assert after["ids"] == kept
        assert after["ids_cut"] == len(before["ids"]) - len(kept)
        assert after["words"] == before["words"]
    feature = md.describe(shortened).features["ids"]
    assert feature.steps_cut == sum(max(0, len(row["ids"]) - length) for row in as_rows(element))
