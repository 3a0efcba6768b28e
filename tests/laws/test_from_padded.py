"""FromPadded undoes ToDense, and takes for padding only what stands at the end of a row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import maskdata as md
from maskdata.data import _unpadding, padded
from maskdata.data.padded import FromPadded
from tests.strategies import ALL_KINDS, FIVE_ROWS, Element, Feed, all_kinds, as_rows

SIDES = ("right", "left")
GARBAGE = {"ids": -1, "words": "no word", "columns": np.nan, "nested": -1}
"""What fills the padding: nothing of it is in the data."""


def add_lengths(block: Element) -> Element:
    return block | {"length": block["ids"].row_lengths()}


def spoil_padding(batch: Element) -> Element:
    spoiled = dict(batch)
    for name, value in GARBAGE.items():
        mask = batch["nested_mask_2" if name == "nested" else f"{name}_mask"]
        mask = mask[..., None] if name == "columns" else mask
        spoiled[name] = tf.where(mask, batch[name], tf.constant(value, batch[name].dtype))
    return spoiled


def only_the_data(block: Element) -> Element:
    return {name: block[name] for name in ("ids", "number", *ALL_KINDS)}


def there_and_back(side: Any) -> Feed:
    return Feed(
        md.Chain(
            lambda rows: rows.map(add_lengths),
            md.ToDense(side=side),
            lambda batches: batches.map(spoil_padding),
            FromPadded("ids", lengths="length", side=side),
            FromPadded("words", mask="words_mask", side=side),
            FromPadded("columns", pad_value=float("nan"), side=side),
            FromPadded(["nested", "nested_mask_2"], mask="nested_mask", side=side),
            FromPadded("nested", mask="nested_mask_2", side=side, axis=2),
            lambda blocks: blocks.map(only_the_data),
        )
    )


def check_spec(pipeline: Feed, block: Element) -> None:
    for name, spec in pipeline.dataset.element_spec.items():
        assert spec.is_compatible_with(block[name]), (name, spec)


def check_round_trip(pipeline: Feed, elements: list[Element]) -> None:
    for element, block in zip(elements, pipeline.read(elements), strict=True):
        assert as_rows(block) == as_rows(only_the_data(element))
        check_spec(pipeline, block)


@pytest.mark.parametrize("side", SIDES)
def test_from_padded_undoes_to_dense(side: str) -> None:
    pipeline = there_and_back(side)

    @given(st.lists(all_kinds, max_size=4))
    def check(elements: list[Element]) -> None:
        check_round_trip(pipeline, elements)

    check()


def test_the_law_catches_the_wrong_side(monkeypatch: pytest.MonkeyPatch) -> None:
    order = _unpadding.order_of_steps
    monkeypatch.setattr(_unpadding, "order_of_steps", lambda dense, side: order(dense, "right"))
    check_round_trip(there_and_back("right"), [FIVE_ROWS])
    broken = there_and_back("left")
    with pytest.raises((AssertionError, tf.errors.InvalidArgumentError)):
        check_round_trip(broken, [FIVE_ROWS])


# What is padding, told by values or by a mask, in plain Python.

SHAPES = {
    "ids": ([None, None], tf.int64),
    "words": ([None, None], tf.string),
    "columns": ([None, None, 2], tf.float32),
    "mask": ([None, None], tf.bool),
}


class PaddedFeed(Feed):
    """A pipeline of padded batches that is built once and then read with many data."""

    def __init__(self, transform: Any) -> None:
        self.blocks: list[Element] = []
        source = tf.data.Dataset.from_generator(
            lambda: iter(self.blocks),
            output_signature={name: tf.TensorSpec(*shape) for name, shape in SHAPES.items()},
        )
        self.dataset = transform(source)


@st.composite
def padded_batches(draw: st.DrawFn) -> Element:
    """Draw a batch in which pad values stand everywhere."""
    shape = draw(st.tuples(st.integers(0, 4), st.integers(0, 6)))
    numbers = st.sampled_from([np.nan, np.nan, 0.0, 1.0])
    return {
        "ids": draw(hnp.arrays(np.int64, shape, elements=st.sampled_from([0, 0, 1, -1]))),
        "words": draw(hnp.arrays(object, shape, elements=st.sampled_from([b"", b"a"]))),
        "columns": draw(hnp.arrays(np.float32, (*shape, 2), elements=numbers)),
        "mask": draw(hnp.arrays(np.bool_, shape, elements=st.booleans())),
    }


WAYS: dict[str, tuple[dict[str, Any], Callable[[Element], np.ndarray]]] = {
    "one feature for two": (
        {"features": ["ids", "words"], "pad_value": {"ids": 0}},
        lambda batch: batch["ids"] == 0,
    ),
    "two features together": (
        {"features": ["words", "ids"], "pad_value": 0},
        lambda batch: (batch["ids"] == 0) & (batch["words"] == b""),
    ),
    "all columns are NaN": (
        {"features": ["columns", "words"], "pad_value": {"columns": float("nan")}},
        lambda batch: np.all(np.isnan(batch["columns"]), axis=-1),
    ),
    "a mask": ({"features": ["words", "columns"], "mask": "mask"}, lambda batch: ~batch["mask"]),
}
"""How padding can be told: the arguments, and which steps it makes padding, [B, L]."""


def without_padding(
    steps: list[Any], is_pad: list[bool], *, side: str, holes: bool
) -> tuple[list[Any], int]:
    """Return the steps that are no padding, and how many holes there are between them."""
    direction = 1 if side == "right" else -1
    pairs = list(zip(steps, is_pad, strict=True))[::direction]
    while pairs and pairs[-1][1]:
        pairs.pop()
    kept = [step for step, pad in pairs if not (pad and holes)]
    return kept[::direction], sum(pad for _, pad in pairs)


def check_padding(way: str, pipeline: Feed, batches: list[Element], **options: Any) -> bool:
    """Check the rows, and return whether they have holes."""
    arguments, is_pad = WAYS[way]
    holes = []
    for batch, block in zip(batches, pipeline.read(batches), strict=True):
        check_spec(pipeline, block)
        for name in arguments["features"]:
            rows = zip(batch[name].tolist(), is_pad(batch).tolist(), strict=True)
            answers = [without_padding(*row, **options) for row in rows]
            np.testing.assert_equal(block[name].to_list(), [kept for kept, _ in answers])
        holes += [count for _, count in answers]
        if options["holes"]:
            counted = block[f"{arguments['features'][0]}_holes"]
            assert counted.numpy().tolist() == [count for _, count in answers]
    return any(holes)


def told(way: str, **options: Any) -> PaddedFeed:
    return PaddedFeed(FromPadded(**WAYS[way][0], **options))


some_batches = st.lists(padded_batches(), max_size=8)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "a mask"])
@pytest.mark.parametrize(("side", "holes"), [("right", False), ("left", False), ("left", True)])
def test_padding_is_the_longest_run_at_the_end(way: str, side: str, holes: Any) -> None:
    pipeline = told(way, side=side, holes=holes)

    @given(some_batches)
    def check(batches: list[Element]) -> None:
        check_padding(way, pipeline, batches, side=side, holes=holes)

    check()


@pytest.mark.parametrize("side", SIDES)
def test_a_mask_with_holes_is_refused_or_taken_at_its_word(side: str) -> None:
    strict, lenient = (told("a mask", side=side, holes=holes) for holes in (False, True))

    @given(some_batches)
    def check(batches: list[Element]) -> None:
        if check_padding("a mask", lenient, batches, side=side, holes=True):
            with pytest.raises(tf.errors.InvalidArgumentError, match="mask must have no False"):
                strict.read(batches)
        else:
            check_padding("a mask", strict, batches, side=side, holes=False)

    check()


NAN = np.nan
PADDING_EVERYWHERE: Element = {
    "ids": np.array([[0, 1, 0, 2, 0, 0], [0] * 6]),
    "words": np.array([[b"a", b"", b"", b"a", b"", b"a"], [b""] * 6], object),
    "columns": np.array([[[NAN, NAN], [1, 0], [NAN, NAN], [0, NAN]] + [[NAN, NAN]] * 2] * 2),
    "mask": np.ones([2, 6], bool),
}


def _wherever_it_stands(is_data: tf.Tensor, side: str) -> tf.Tensor:
    return is_data


def _in_any_column(dense: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    return tf.reduce_any(tf.math.is_nan(dense), axis=range(2, dense.shape.rank))


def _if_equal(dense: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(dense == value, axis=range(2, dense.shape.rank))


@pytest.mark.parametrize(
    ("way", "replaced", "by"),
    [
        ("one feature for two", "before_the_padding", _wherever_it_stands),
        ("all columns are NaN", "has_value", _in_any_column),
        ("all columns are NaN", "has_value", _if_equal),
    ],
)
def test_the_law_catches_another_rule(
    way: str, replaced: str, by: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options: Any = {"side": "right", "holes": False}
    check_padding(way, told(way, **options), [PADDING_EVERYWHERE], **options)
    monkeypatch.setattr(padded, replaced, by)
    broken = told(way, **options)
    with pytest.raises(AssertionError):
        check_padding(way, broken, [PADDING_EVERYWHERE], **options)
