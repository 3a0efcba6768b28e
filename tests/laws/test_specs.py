"""Law 5: element_spec tells the truth (of every transform: in `test_rows`); what is static stays static."""

from typing import Any

import pytest
import tensorflow as tf
from hypothesis import given

import maskdata as md
from tests.strategies import FIVE_ROWS, Element, Feed, all_kinds


def check_spec(pipeline: Feed, blocks: list[Element]) -> None:
    for batch in pipeline.read(blocks):
        for name, spec in pipeline.dataset.element_spec.items():
            assert spec.is_compatible_with(batch[name]), (name, spec, batch[name])


STATIC: list[tuple[Any, dict[str, list[int | None]]]] = [
    (md.ToDense(lengths=9), {"ids": [None, 9], "ids_mask": [None, 9], "columns": [None, 9, 3]}),
    (md.ToDense(lengths=9, side="left"), {"ids": [None, 9], "ids_mask": [None, 9]}),
    (
        md.ToDense(lengths={"nested": (9, 4)}, features=["nested"]),
        {"nested": [None, 9, 4], "nested_mask_2": [None, 9, 4]},
    ),
    (
        md.RaggedBatch(3, drop_remainder=True),
        {"ids": [3, None], "columns": [3, None, 3], "label": [3]},
    ),
    (
        md.PaddedBatch(3, drop_remainder=True, lengths=9, features=["ids"]),
        {"ids": [3, 9], "ids_mask": [3, 9], "number": [3]},
    ),
    (
        md.BucketBySequenceLength("ids", [2], [4, 4], drop_remainder=True),
        {"ids": [4, None], "label": [4]},
    ),
    (md.BucketBySequenceLength("ids", [2], [4, 2], drop_remainder=True), {"ids": [None, None]}),
]


@pytest.mark.parametrize(("transform", "shapes"), STATIC, ids=repr)
def test_what_is_static_stays_static(transform: Any, shapes: dict[str, list[int | None]]) -> None:
    pipeline = Feed(transform)
    spec = pipeline.dataset.element_spec
    assert {name: spec[name].shape.as_list() for name in shapes} == shapes

    @given(all_kinds)
    def check(element: Element) -> None:
        check_spec(pipeline, [element])

    check()


def test_the_law_catches_a_lying_spec() -> None:
    def lie(batch: Element) -> Element:
        batch["number"].set_shape([3])
        return {"number": batch["number"]}

    pipeline = Feed(lambda rows: rows.map(lie))
    with pytest.raises((AssertionError, tf.errors.InvalidArgumentError)):
        check_spec(pipeline, [FIVE_ROWS])
