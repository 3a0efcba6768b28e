"""Law 9: ids and tokens are one to one, and the three kinds of ids never meet."""

from collections.abc import Callable

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import maskdata as md
from tests.strategies import words

token_lists = st.lists(words, min_size=1, max_size=8, unique=True)


def check_ids(
    vocabulary: md.Vocabulary, lookup: Callable[[list[str]], list[int]], texts: list[str]
) -> None:
    known = list(vocabulary.tokens)
    ids = lookup(known)
    assert vocabulary.decode(ids) == known
    assert sorted(ids) == list(range(2, vocabulary.size))
    for text, number in zip(texts, lookup(texts), strict=True):
        assert 0 <= number < vocabulary.size
        assert number != vocabulary.pad_id
        assert (number == vocabulary.oov_id) == (text not in vocabulary.tokens)


def through_lookup(vocabulary: md.Vocabulary) -> Callable[[list[str]], list[int]]:
    def ids(tokens: list[str]) -> list[int]:
        rows = md.from_rows({"tokens": tf.constant([tokens], tf.string)})
        found = rows.apply(md.Lookup("tokens", vocabulary)).get_single_element()["tokens"]
        return found[0].numpy().tolist()

    return ids


@given(token_lists, st.lists(words, max_size=6))
def test_decode_of_lookup_is_the_identity_on_known_tokens(
    tokens: list[str], texts: list[str]
) -> None:
    vocabulary = md.Vocabulary(tokens)
    check_ids(vocabulary, through_lookup(vocabulary), texts)


def test_the_law_catches_a_shifted_id() -> None:
    vocabulary = md.Vocabulary(["a", "b", "c"])
    lookup = through_lookup(vocabulary)
    with pytest.raises((AssertionError, ValueError)):
        check_ids(vocabulary, lambda tokens: [n + 1 for n in lookup(tokens)], ["?"])
    with pytest.raises(AssertionError):
        check_ids(vocabulary, lambda tokens: [n % 4 for n in lookup(tokens)], ["?"])
    with pytest.raises(AssertionError):
        check_ids(vocabulary, lambda tokens: [n if n > 1 else 0 for n in lookup(tokens)], ["?"])


@given(token_lists)
def test_a_saved_vocabulary_is_the_same(tokens: list[str]) -> None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "vocabulary.txt"
        md.Vocabulary(tokens).save(path)
        assert md.Vocabulary.load(path) == md.Vocabulary(tokens)
        assert len(path.read_bytes().splitlines()) >= len(tokens)


@given(
    st.lists(st.lists(words, max_size=6), min_size=1, max_size=6).filter(any),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_build_counts_then_sorts_whatever_the_blocks(
    rows: list[list[str]], block_size: int, min_count: int
) -> None:
    tokens = [token for row in rows for token in row]
    expected = [
        token
        for token in sorted(set(tokens), key=lambda t: (-tokens.count(t), t.encode()))
        if tokens.count(token) >= min_count
    ]
    dataset = md.from_rows({"tokens": rows}, block_size=block_size)
    if not expected:
        with pytest.raises(ValueError, match="tokens must not be empty"):
            md.Vocabulary.build(dataset, "tokens", min_count=min_count)
        return
    assert md.Vocabulary.build(dataset, "tokens", min_count=min_count).tokens == tuple(expected)
    smallest = md.Vocabulary.build(dataset, "tokens", max_size=3, min_count=min_count)
    assert smallest.tokens == tuple(expected[:1])
