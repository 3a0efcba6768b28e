"""A split by key: each row in exactly one part, all rows of a key in the same, whatever comes with them."""

import collections
import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import maskdata as md
from maskdata.data import split_by_key
from maskdata.data.split_by_key import NUM_BUCKETS, SplitByKey
from tests.strategies import FIVE_ROWS, Feed, all_kinds, as_rows, count_rows, cut, cuts

BOUNDS = [0.0, 0.4, 1.0]
PARTS = [SplitByKey("label", *bounds) for bounds in itertools.pairwise(BOUNDS)]

Rows = list[dict[str, Any]]


def check_split(parts: list[Rows], rows: Rows, key: str) -> None:
    """Check that rows of any order are split, in their order, by their keys alone."""
    part_of = {row[key]: number for number, part in enumerate(parts) for row in part}
    assert parts == [
        [row for row in rows if part_of.get(row[key]) == number] for number in range(len(parts))
    ]
    assert sum(map(len, parts)) == len(rows)


def test_each_row_is_in_one_part_with_all_others_of_its_key() -> None:
    pipelines = [Feed(part) for part in PARTS]

    @given(st.data())
    def check(data: st.DataObject) -> None:
        element = data.draw(all_kinds)
        parts = []
        for pipeline in pipelines:
            blocks = cut(element, data.draw(cuts(count_rows(element))))
            parts.append([row for block in pipeline.read(blocks) for row in as_rows(block)])
        check_split(parts, as_rows(element), "label")

    check()


def on_positions(keys: tf.Tensor, seed: int) -> tf.Tensor:
    return tf.range(tf.size(keys, tf.int64)) * (NUM_BUCKETS // tf.size(keys, tf.int64))


def on_all_keys(keys: tf.Tensor, seed: int) -> tf.Tensor:
    together = tf.strings.to_hash_bucket_strong(tf.strings.reduce_join(keys), 2**53, key=[seed, 0])
    return together + tf.zeros_like(keys, tf.int64)


FAULTS: dict[str, Callable[..., tf.Tensor]] = {
    "of the row's place": on_positions,
    "outside of [0, 1)": lambda keys, seed: tf.fill(tf.shape(keys), tf.constant(NUM_BUCKETS)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_law_catches_a_hash(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_by_key, "hash_keys", FAULTS[fault])
    element = {"number": FIVE_ROWS["number"], "label": tf.constant(list("abbba"))}
    parts = [tf.data.Dataset.from_tensors(element).apply(part) for part in PARTS]
    with pytest.raises(AssertionError):
        check_split(
            [as_rows(part.get_single_element()) for part in parts], as_rows(element), "label"
        )


def numbers_kept(keys: Any, part: SplitByKey, block_size: int = 4096) -> list[int]:
    rows = md.from_rows({"key": keys, "n": np.arange(len(keys))}, block_size=block_size)
    return [n for block in rows.apply(part) for n in block["n"].numpy().tolist()]


def check_alone(part: SplitByKey) -> None:
    """Check that a row is kept whoever stands beside it."""
    keys = [f"key {n}" for n in range(40)]
    assert numbers_kept(keys, part) == numbers_kept(keys, part, block_size=1)


def test_other_rows_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    check_alone(SplitByKey("key", 0.2, 0.8))
    monkeypatch.setattr(split_by_key, "hash_keys", on_all_keys)
    with pytest.raises(AssertionError):
        check_alone(SplitByKey("key", 0.2, 0.8))


def test_bounds_fall_between_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key exactly on a bound belongs to the part that starts there."""
    monkeypatch.setattr(split_by_key, "hash_keys", lambda keys, seed: keys)
    for bound in (0.5, 0.1, 1 / 3, 0.9, 1e-15, 1 - 2**-53):
        first = int(np.ceil(bound * NUM_BUCKETS))
        keys = sorted({0, max(first - 1, 0), first, min(first + 1, 2**53 - 1), 2**53 - 1})
        below = numbers_kept(np.array(keys), SplitByKey("key", 0.0, bound))
        above = numbers_kept(np.array(keys), SplitByKey("key", bound, 1.0))
        assert below == [n for n, key in enumerate(keys) if key < first]
        assert below + above == list(range(len(keys)))


def kept(keys: Any, share: float, seed: int = 0) -> np.ndarray:
    return np.asarray(split_by_key.hash_keys(tf.constant(keys), seed) < int(share * NUM_BUCKETS))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.01])
def test_parts_have_their_share_of_keys(share: float) -> None:
    """Within four standard deviations, for keys as regular as can be and whatever the seed."""
    size = 100_000
    deviation = (size * share * (1 - share)) ** 0.5
    for keys in (np.arange(size), np.arange(size) * 1024, [f"user-{n:08}" for n in range(size)]):
        for seed in (0, 1, 2**63 - 1):
            assert abs(kept(keys, share, seed).sum() - size * share) < 4 * deviation


def test_seeds_split_apart_and_neighbours_are_independent() -> None:
    keys = np.arange(100_000)
    sides = np.array([kept(keys, 0.5, seed) for seed in range(4)] + [kept(keys + 1, 0.5)])
    correlation = np.corrcoef(sides)
    assert np.abs(correlation - np.eye(5)).max() < 4 / len(keys) ** 0.5


def test_keys_of_every_integer_type_and_text_are_alike() -> None:
    texts = split_by_key.hash_keys(tf.constant(["0", "7", "100"]), 3)
    for dtype in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
        assert np.array_equal(split_by_key.hash_keys(tf.constant([0, 7, 100], dtype), 3), texts)
    odd = tf.constant([b"", b"\x00", b"\xff", "日本".encode(), b"-1"])
    assert len(set(split_by_key.hash_keys(odd, 0).numpy())) == 5
    assert split_by_key.hash_keys(tf.constant([-1]), 0)[0] == split_by_key.hash_keys(odd, 0)[4]


def test_describe_counts_the_rows_of_other_parts() -> None:
    rows = md.from_rows({"ids": [[n] for n in range(50)], "user": np.arange(50) % 7})
    parts = [rows.apply(SplitByKey("user", 0.0, 0.6)), rows.apply(SplitByKey("user", 0.6, 1.0))]
    lost = [md.describe(part, source=rows).rows_lost for part in parts]
    assert sum(50 - n for n in lost) == 50
    users = [{int(u) for block in part for u in block["user"]} for part in parts]
    assert not users[0] & users[1]
    assert collections.Counter(map(bool, users)) == {True: 2}


ROWS = md.from_rows({"tokens": [["a"]], "vector": [[1, 2]], "weight": [0.5], "user": ["ann"]})


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: SplitByKey(3, 0.0, 0.5), TypeError, "SplitByKey: key must be the name of a feature, got 3."),
        (lambda: SplitByKey("user", "0", 0.5), TypeError, "start must be a number, got '0'. Pass a share, such as 0.9."),
        (lambda: SplitByKey("user", 0.0, end=True), TypeError, "end must be a number, got True."),
        (lambda: SplitByKey("user", 0.5, 0.5), ValueError, "bounds must be in order, 0 <= start < end <= 1, got (0.5, 0.5). Training may be"),
        (lambda: SplitByKey("user", 0, 90), ValueError, "bounds must be in order, 0 <= start < end <= 1, got (0, 90)."),
        (lambda: SplitByKey("user", -0.1, 0.5), ValueError, "got (-0.1, 0.5)."),
        (lambda: SplitByKey("user", float("nan"), 1.0), ValueError, "got (nan, 1.0)."),
        (lambda: SplitByKey("user", 0.0, 0.5, seed=-1), ValueError, "seed must be at least 0, got -1."),
        (lambda: SplitByKey("user", 0.0, 0.5, seed=2**63), ValueError, "seed must be below 2**63, got 9223372036854775808."),
        (lambda: ROWS.apply(SplitByKey("usr", 0.0, 0.5)), ValueError, "SplitByKey: no feature 'usr'; the element has"),
        (lambda: ROWS.apply(SplitByKey("tokens", 0.0, 0.5)), ValueError, "SplitByKey: key must be dense [N], got RaggedTensorSpec"),
        (lambda: ROWS.apply(SplitByKey("vector", 0.0, 0.5)), ValueError, "key must be dense [N], got RaggedTensorSpec"),
        (lambda: ROWS.apply(SplitByKey("weight", 0.0, 0.5)), TypeError, "SplitByKey: key must be integers or strings, got TensorSpec(shape=(None,), dtype=tf.float32, name=None). Rounding would tear"),
        (lambda: tf.data.Dataset.range(3).map(lambda n: {"user": n}).apply(SplitByKey("user", 0.0, 0.5)), ValueError, "SplitByKey: elements must be batches of rows"),
    ],
)  # fmt: skip
def test_refusals(build: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        build()
