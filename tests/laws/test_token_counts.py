"""Counts are exact however little memory there is; approximate ones are as wrong as they say, at most."""

import functools
import itertools
import resource
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import maskdata as md
from maskdata.data import _token_counts
from maskdata.data._approximate_counts import ApproximateCounts
from maskdata.data._most_frequent import most_frequent
from maskdata.data._token_counts import Partitions, TokenCounts, totals
from maskdata.data.approximate_vocabulary import ApproximateVocabulary

tokens = st.binary(max_size=2) | st.sampled_from([b"", b"\x00", b"\n", "ß".encode(), b"\xff"])
texts = st.lists(st.lists(tokens, max_size=8), max_size=8)


def count_each(text: list[bytes]) -> tuple[tf.Tensor, tf.Tensor]:
    counts = Counter(text)
    return (
        tf.constant(list(counts), tf.string, [len(counts)]),
        tf.constant(list(counts.values()), tf.int64, [len(counts)]),
    )


def count_in_tables(texts: list[list[bytes]], limit: int, num_tables: int) -> list[tuple[Any, Any]]:
    with Partitions() as overflow:
        tables = [TokenCounts(limit, overflow) for _ in range(num_tables)]
        for number, text in enumerate(texts):
            tables[number % num_tables].add(count_each(text))
        return [(t.numpy(), n.numpy()) for t, n in totals(tables, overflow)]


def check_totals(found: list[tuple[Any, Any]], texts: list[list[bytes]]) -> None:
    pairs = [pair for part in found for pair in zip(*map(np.ndarray.tolist, part), strict=True)]
    assert sorted(pairs) == sorted(Counter(itertools.chain(*texts)).items())


@given(texts, st.integers(1, 6), st.integers(1, 3))
def test_totals_do_not_depend_on_memory(texts: list[list[bytes]], limit: int, tables: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_token_counts, "NUM_PARTITIONS", 3)  # so few that they overflow, too
        check_totals(count_in_tables(texts, limit, tables), texts)


TEXTS = [[b"a", b"b", b"c"], [b"c", b"d"], [b"a", b"e", b"e"]]


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="asks Linux for the memory in use"
)
def test_memory_does_not_grow_with_the_number_of_tokens() -> None:
    """A table of TensorFlow that is not anonymous is never freed: 110 MB for these."""
    with Partitions() as overflow:
        table = TokenCounts(40_000, overflow)
        used = []
        for start in range(0, 1_200_000, 50_000):
            numbers = tf.range(start, start + 50_000)
            table.add((tf.strings.as_string(numbers), tf.ones([50_000], tf.int64)))
            used.append(resident_mb())
        assert used[-1] - used[6] < 40
        assert sum(len(tokens) for tokens, _ in totals([table], overflow)) == 1_200_000
        assert resident_mb() - used[6] < 60


def _forget(self: Partitions, counts: Any) -> None:
    pass


def _by_number(self: Partitions, counts: Any, write: Any = Partitions.write) -> None:
    self._depth += 1  # each time another hash: the counts of a token do not meet
    write(self, counts)


@pytest.mark.parametrize("fault", [_forget, _by_number])
def test_the_law_catches_partitions(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_token_counts, "NUM_PARTITIONS", 2)
    check_totals(count_in_tables(TEXTS, 1, 1), TEXTS)
    monkeypatch.setattr(Partitions, "write", fault)
    with pytest.raises(AssertionError):
        check_totals(count_in_tables(TEXTS, 1, 1), TEXTS)


@given(
    st.lists(st.dictionaries(tokens, st.integers(1, 4), max_size=12), max_size=3),
    st.none() | st.integers(1, 6),
    st.integers(1, 3),
)
def test_the_most_frequent_come_first(
    parts: list[dict[bytes, int]], max_tokens: int | None, min_count: int
) -> None:
    distinct: dict[bytes, int] = {}
    disjoint = [{t: n for t, n in part.items() if t not in distinct and not distinct.update({t: n})} for part in parts]  # fmt: skip
    arrays = [(np.array([*part], object), np.array([*part.values()], int)) for part in disjoint]
    expected = sorted(
        (item for item in distinct.items() if item[1] >= min_count), key=lambda i: (-i[1], i[0])
    )[:max_tokens]
    found = most_frequent(arrays, max_tokens, min_count)
    assert list(zip(*map(np.ndarray.tolist, found), strict=True)) == expected


def check_bound(counted: ApproximateCounts, texts: list[list[bytes]]) -> None:
    true = Counter(itertools.chain(*texts))
    tokens, counts = (tensor.numpy().tolist() for tensor in counted.export())
    found = dict(zip(tokens, counts, strict=True))
    assert len(found) <= counted.limit
    assert counted.num_tokens == true.total()
    assert counted.max_undercount <= 2 * true.total() / counted.limit
    for token, count in true.items():
        assert 0 <= count - found.get(token, 0) <= counted.max_undercount


def count_about(texts: list[list[bytes]], limit: int) -> ApproximateCounts:
    counted = ApproximateCounts(limit)
    for text in texts:
        counted.add(count_each(text))
    return counted


@given(texts, st.integers(1, 6))
def test_approximate_counts_are_as_wrong_as_they_say(texts: list[list[bytes]], limit: int) -> None:
    check_bound(count_about(texts, limit), texts)


def test_the_law_catches_a_bound_that_is_too_low() -> None:
    counted = count_about(TEXTS, 2)
    assert counted.max_undercount
    counted.max_undercount -= 1
    with pytest.raises(AssertionError):
        check_bound(counted, TEXTS)


@functools.cache
def zipf_rows() -> tuple[tf.data.Dataset, Counter[str]]:
    drawn = np.random.default_rng(0).zipf(1.3, 20_000) % 5_000
    words = [f"w{n}" for n in drawn]
    return md.from_rows({"word": words}, block_size=500), Counter(words)


@pytest.mark.parametrize("limit", [300, 1_000, 100_000])
def test_what_is_certain_is_in_the_exact_vocabulary(limit: int) -> None:
    rows, true = zipf_rows()
    build = functools.partial(ApproximateVocabulary.build, rows, "word", max_size=102)
    found = build(max_tokens_in_memory=limit)
    exact = md.Vocabulary.build(rows, "word", max_size=102)
    wrong = set(found.vocabulary.tokens) - set(exact.tokens)
    assert len(wrong) <= found.num_uncertain <= 100
    assert found.num_uncertain < 60, "or the test would say nothing"
    assert (found.max_undercount == 0) == (limit == 100_000)
    assert found.max_undercount or (found.vocabulary == exact and not found.num_uncertain)
    assert found.num_tokens == true.total()
    often = build(max_tokens_in_memory=limit, min_count=50)
    assert all(true[token] >= 50 for token in often.vocabulary.tokens)


@pytest.fixture
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_files_vanish_also_after_an_error(
    temporary_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = md.from_rows({"word": ["a", "b", "c", "a"]}, block_size=1)
    assert md.Vocabulary.build(rows, "word", max_tokens_in_memory=1).tokens == ("a", "b", "c")
    assert list(temporary_files.iterdir()) == []
    seen = []

    def full_disk(part: Any, file: Any) -> None:
        seen.extend(temporary_files.iterdir())
        raise OSError("disk full")

    monkeypatch.setattr("pickle.dump", full_disk)
    with pytest.raises(OSError, match="disk full"):
        md.Vocabulary.build([rows, rows], "word", max_tokens_in_memory=1)
    assert seen
    assert list(temporary_files.iterdir()) == []


def test_datasets_of_python_and_errors_while_reading() -> None:
    def blocks(*, fails: bool) -> Iterator[dict[str, Any]]:
        for _ in range(3):
            yield {"word": ["a", "b"]}
        if fails:
            raise KeyError("a bad row")

    def rows(*, fails: bool) -> tf.data.Dataset:
        spec = {"word": tf.TensorSpec([None], tf.string)}
        return tf.data.Dataset.from_generator(lambda: blocks(fails=fails), output_signature=spec)

    assert md.Vocabulary.build([rows(fails=False)] * 5, "word", min_count=15).tokens == ("a", "b")
    with pytest.raises(ValueError, match="tokens must not be empty"):
        md.Vocabulary.build([rows(fails=False)] * 5, "word", min_count=16)
    with pytest.raises(tf.errors.UnknownError, match="a bad row"):
        md.Vocabulary.build([rows(fails=False), rows(fails=True)] * 3, "word")
