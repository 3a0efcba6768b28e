"""Laws of rows: none is lost (2), no answer depends on how they were cut into blocks (4), and every
element fits its spec (5). They share pipelines, which take longer to build than to read.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

import maskdata as md
from maskdata.data import _blocks, _windows, shuffle
from tests.laws.test_specs import check_spec
from tests.strategies import (
    FIVE_ROWS,
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
    in_blocks,
)

MOVING = ("Shuffle", "RaggedBatch", "BucketBySequenceLength")
KEEPS_BLOCKS = ("Tokenize", "Lookup", "Truncate", "Shuffle")


def _each(element: Element, function: Callable[[Any], Any]) -> Element:
    return {name: function(feature) for name, feature in element.items()}


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
def test_every_element_fits_the_spec(name: str, data: st.DataObject) -> None:
    element = data.draw(all_kinds)
    check_spec(feed(name), cut(element, data.draw(cuts(count_rows(element)))))


def check_blocks_do_not_matter(
    pipeline: Feed, element: Element, cuts_to_compare: list[list[int]], *, in_batches: bool
) -> None:
    answers: list[Any] = []
    for bounds in cuts_to_compare:
        batches = [as_rows(batch) for batch in pipeline.read(cut(element, bounds))]
        answers.append(batches if in_batches else [row for batch in batches for row in batch])
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("name", TRANSFORMS)
@given(data=st.data())
def test_the_answer_does_not_depend_on_the_blocks(name: str, data: st.DataObject) -> None:
    element = data.draw(all_kinds)
    both = [data.draw(cuts(count_rows(element))) for _ in range(2)]
    check_blocks_do_not_matter(feed(name), element, both, in_batches=name not in KEEPS_BLOCKS)


def test_the_law_catches_a_transform_that_sees_the_blocks() -> None:
    cuts_to_compare = [[0, 2, 5], [0, 5]]
    lost_in_each_block = Feed(lambda rows: rows.map(lambda block: _each(block, lambda f: f[:-1])))
    turned_in_each_block = Feed(
        lambda rows: rows.map(lambda block: _each(block, lambda f: f[::-1]))
    )
    for broken in (lost_in_each_block, turned_in_each_block):
        with pytest.raises(AssertionError):
            check_blocks_do_not_matter(broken, FIVE_ROWS, cuts_to_compare, in_batches=False)


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("fault", ["drop a row", "repeat a row"])
def test_the_law_catches_a_lost_row(name: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_nothing_is_lost(feed(name), FIVE_ROWS, [0, 2, 5])

    take = _blocks.take_rows

    def broken(rows: Any, indices: tf.Tensor) -> Any:
        drop = fault == "drop a row"
        return take(rows, indices[:-1] if drop else tf.concat([indices, indices[:1]], axis=0))

    for module in (_blocks, _windows, shuffle):
        monkeypatch.setattr(module, "take_rows", broken)

    with pytest.raises((AssertionError, tf.errors.InvalidArgumentError)):
        check_nothing_is_lost(Feed(TRANSFORMS[name]), FIVE_ROWS, [0, 2, 5])


@settings(max_examples=6)
@given(drawn=blocks(kinds=()), size=st.integers(1, 5))
@example(drawn=(FIVE_ROWS, in_blocks(FIVE_ROWS, [0, 2, 5])), size=5)
def test_what_drop_remainder_drops_is_counted(
    drawn: tuple[Element, tf.data.Dataset], size: int
) -> None:
    element, dataset = drawn
    batches = dataset.apply(md.RaggedBatch(size, drop_remainder=True))
    description = md.describe(batches, source=dataset)
    assert description.rows_lost == count_rows(element) % size
    assert description.rows == count_rows(element) - count_rows(element) % size


@settings(max_examples=6)
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
