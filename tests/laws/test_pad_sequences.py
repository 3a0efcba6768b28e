"""Truncate and ToDense pad as `keras.utils.pad_sequences` does: bit for bit, on either side."""

import dataclasses
import itertools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given

import maskdata as md
from tests.strategies import FIVE_ROWS, Element, Feed, all_kinds

SIDE = {"pre": "left", "post": "right"}

KINDS: dict[str, dict[str, Any]] = {
    "ids": {"maxlen": 3, "dtype": "int64", "value": -7},
    "words": {"maxlen": 1, "dtype": object, "value": "~"},
    "columns": {"maxlen": None, "dtype": "float32", "value": 0.5},
    "small": {"maxlen": 8, "dtype": "uint8", "value": 255},
}
CASES = {
    f"{kind} {padding} {truncating}": keywords | {"padding": padding, "truncating": truncating}
    for kind, keywords in KINDS.items()
    for padding, truncating in itertools.product(SIDE, SIDE)
}
"""What pad_sequences is told, and the feature that it is told for: each kind with all sides."""


def one_feature_a_case(rows: Element) -> Element:
    """Return each kind of feature once a case; here the dtype is that of the feature."""
    kinds = rows | {"small": tf.cast(rows["ids"] % 256, tf.uint8)}
    return {case: kinds[case.split()[0]] for case in CASES}


def pad_on(side: str) -> md.ToDense:
    cases = {case: told for case, told in CASES.items() if SIDE[told["padding"]] == side}
    lengths = {case: told["maxlen"] for case, told in cases.items()}
    pad_values = {case: told["value"] for case, told in cases.items()}
    return md.ToDense(list(cases), lengths, pad_values, side)


def truncate_on(side: str) -> md.Truncate:
    return md.Truncate(
        {
            case: told["maxlen"]
            for case, told in CASES.items()
            if told["maxlen"] is not None and SIDE[told["truncating"]] == side
        },
        side=side,
    )


def check_against_keras(pipeline: Feed, element: Element) -> None:
    [dense] = pipeline.read([element])
    for case, rows in one_feature_a_case(element).items():
        rows, found = rows.to_list(), dense[case].numpy()
        if not rows:  # pad_sequences fails without rows
            assert found.shape[0] == 0
            continue
        if case.startswith("words"):
            rows = [[word.decode() for word in row] for row in rows]
            found = np.vectorize(bytes.decode, otypes=[object])(found)
        expected = keras.utils.pad_sequences(rows, **CASES[case])
        if not any(rows):  # then it does not know of the columns
            expected = np.full(found.shape, CASES[case]["value"], CASES[case]["dtype"])
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected, err_msg=case)


def pipeline(*transforms: Any) -> Feed:
    return Feed(md.Chain(lambda rows: rows.map(one_feature_a_case), *transforms))


TRUNCATE = truncate_on("left"), truncate_on("right")
PAD = pad_on("left"), pad_on("right")


def test_to_dense_is_pad_sequences() -> None:
    pad = pipeline(*TRUNCATE, *PAD)

    @given(all_kinds)
    def check(element: Element) -> None:
        check_against_keras(pad, element)

    check()


def _other_side(transform: Any) -> Any:
    return dataclasses.replace(transform, side="right" if transform.side == "left" else "left")


@pytest.mark.parametrize("broken", [TRUNCATE[0], PAD[1]], ids=["Truncate", "ToDense"])
def test_the_law_catches_the_other_side(broken: Any) -> None:
    others = [_other_side(t) if t is broken else t for t in (*TRUNCATE, *PAD)]
    wrong = pipeline(*others)
    with pytest.raises(AssertionError):
        check_against_keras(wrong, FIVE_ROWS)
