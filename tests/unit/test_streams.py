"""Labelled streams: whole ones give their elements, and what is missing of others is heard."""

import itertools
import time
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from maskdata.data._heard import MISSED_ROUNDS, Wanted, check_streams
from maskdata.data._streams import CLOSE, ELEMENT, OPEN, label_stream, nothing_of

NUMBERS = tf.data.Dataset.range(9)


def elements(*labels: tuple[int, int, int]) -> tf.data.Dataset:
    """Return elements of two rows each, with these labels."""
    made = tf.data.Dataset.from_tensor_slices(tf.constant(labels, tf.int64, shape=[len(labels), 3]))
    return made.map(lambda label: ({"n": tf.stack([label[1]] * 2)}, label))


def wanted(**changed: Any) -> Wanted:
    usual = {"timeout_s": 9.0, "num_rows": None, "every": 1, "is_shared": False}
    return Wanted(who="test", **(usual | changed))


def read(dataset: tf.data.Dataset, **changed: Any) -> list[int]:
    return [int(element["n"][0]) for element in check_streams(dataset, wanted(**changed))]


FIRST = [(7, 0, OPEN), (7, 1, ELEMENT), (7, 2, ELEMENT), (7, 3, CLOSE)]
SECOND = [(8, 0, OPEN), (8, 1, ELEMENT), (8, 2, CLOSE)]
MIXED = [FIRST[0], SECOND[0], FIRST[1], SECOND[1], SECOND[2], *FIRST[2:]]


def test_streams_that_are_whole_give_their_elements() -> None:
    assert read(elements(*MIXED), num_rows=6) == [1, 1, 2]


@pytest.mark.parametrize(
    ("labels", "arguments", "message"),
    [
        (FIRST[:3], {}, r"some are missing: workers died .*\] \[1\]"),
        ([*FIRST, *SECOND[:1]], {}, "some are missing"),
        ([FIRST[0], *FIRST[2:]], {}, r"all elements .* must arrive.*\] \[1\]"),
        (FIRST[1:], {}, "all elements that a worker sends must arrive"),
        ([FIRST[0], FIRST[1], FIRST[1]], {}, "all elements that a worker sends must arrive"),
        ([], {}, "read to its end by someone else"),
        ([], {"is_shared": True}, "read to its end by someone else"),
        (FIRST, {"num_rows": 5}, r"as many rows must arrive as num_rows=5.* There came\] \[4\]"),
    ],
)
def test_streams_that_are_not_whole_are_an_error(
    labels: list[Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        read(elements(*labels), **arguments)


def test_a_shared_stream_may_come_in_part() -> None:
    assert read(elements(FIRST[2]), is_shared=True) == [2]


def test_silence_is_an_error_and_slow_reading_is_none() -> None:
    whole = elements(*FIRST)
    never_ends = whole.concatenate(NUMBERS.repeat().filter(lambda n: n < 0).map(lambda n: _mark()))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"within timeout_s=0.5 seconds"):
        read(never_ends, timeout_s=0.5)
    seen = []
    for element in check_streams(elements(*MIXED), wanted(timeout_s=0.2)):
        time.sleep(0.5)
        seen.append(element)
    assert len(seen) == 3


def _mark() -> Any:
    return {"n": tf.zeros([2], tf.int64)}, tf.zeros([3], tf.int64)


def test_coordinated_readers_notice_a_worker_that_is_gone() -> None:
    first = [(7, place, ELEMENT) for place in range(1, 1 + 80, 2)]
    second = [(8, place, ELEMENT) for place in range(1, 1 + 80, 2)]
    in_turn = [label for pair in zip(first, second, strict=True) for label in pair]
    reading = iter(check_streams(elements(*in_turn), wanted(every=2)))
    assert sum(1 for _ in zip(range(80), reading, strict=False)) == 80
    reading = iter(check_streams(elements(*in_turn[:8], *first[4:]), wanted(every=2)))
    few = itertools.islice(reading, 8 + 2 * MISSED_ROUNDS + 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="all workers must stay"):
        list(few)


@pytest.mark.parametrize("as_tuple", [False, True])
def test_labels_count_and_each_pass_has_another_stream(*, as_tuple: bool) -> None:
    dataset = NUMBERS.map(lambda n: (n,)) if as_tuple else NUMBERS
    labelled = label_stream(dataset, has_end=True)
    assert labelled.element_spec[0] == dataset.element_spec
    passes = [np.array([label.numpy() for _, label in labelled]) for _ in range(2)]
    for labels in passes:
        assert labels[:, 1].tolist() == list(range(11))
        assert labels[:, 2].tolist() == [OPEN, *[ELEMENT] * 9, CLOSE]
        assert len(set(labels[:, 0])) == 1
    assert passes[0][0, 0] != passes[1][0, 0]


def test_nothing_fits_every_spec() -> None:
    specs = {
        "static": tf.TensorSpec([3, None, 2], tf.string),
        "scalar": tf.TensorSpec([], tf.bool),
        "ragged": tf.RaggedTensorSpec([None, None], tf.int64),
        "rows": tf.RaggedTensorSpec([3, None, 2], tf.float32, ragged_rank=1),
        "nested": tf.RaggedTensorSpec([None, None, None], tf.int64, row_splits_dtype=tf.int32),
    }
    nothing = nothing_of(specs)
    for name, spec in specs.items():
        assert spec.is_compatible_with(nothing[name]), name
