"""Totals of tokens -> the most frequent ones, in the order of their ids."""

import heapq
from collections.abc import Iterable
from typing import Any

import numpy as np


def most_frequent(
    totals: Iterable[tuple[Any, Any]], max_tokens: int | None, min_count: int
) -> tuple[Any, Any]:
    """Return the tokens that occur `min_count` times, at most `max_tokens`, and their counts, in order.

    The most frequent come first, and of those with equal counts the one with the smaller bytes: the
    order depends on nothing but the totals. Never more than twice `max_tokens` wait, beside one part.

    >>> parts = [(np.array([b"b", b"c"], object), np.array([2, 1])), (np.array([b"a"], object), np.array([2]))]
    >>> most_frequent(parts, 2, 1)
    (array([b'a', b'b'], dtype=object), array([2, 2]))
    """
    tokens, counts = np.array([], object), np.array([], np.int64)
    for part_tokens, part_counts in totals:
        of_part = np.asarray(part_counts)
        is_enough = of_part >= min_count
        tokens = np.concatenate([tokens, np.asarray(part_tokens, object)[is_enough]])
        counts = np.concatenate([counts, of_part[is_enough]])
        if max_tokens is not None and len(tokens) > 2 * max_tokens:
            tokens, counts = _cut(tokens, counts, max_tokens)
    if max_tokens is not None and len(tokens) > max_tokens:
        tokens, counts = _cut(tokens, counts, max_tokens)
    order = np.lexsort((tokens, -counts))
    return tokens[order], counts[order]


def _cut(tokens: Any, counts: Any, size: int) -> tuple[Any, Any]:
    """Return the first `size` tokens, in any order; sorting all of them would take far longer."""
    last = np.partition(counts, -size)[-size]
    above, ties = np.flatnonzero(counts > last), np.flatnonzero(counts == last)
    smallest = heapq.nsmallest(size - len(above), ties, key=tokens.__getitem__)
    kept = np.concatenate([above, smallest]).astype(np.int64)
    return tokens[kept], counts[kept]
