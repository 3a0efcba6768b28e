"""What is measured: someone's way from rows to padded batches, and the proof that it does the work."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tests.speed.rows import SLOTS, Rows

Batch = tuple[np.ndarray, np.ndarray]  # ids [B, L] and mask [B, L]


class Epoch(Protocol):
    """One pass over all rows, as often as asked."""

    def read(self) -> None:
        """Read all batches, as fast as the library can hand them over."""

    def batches(self) -> Iterator[Batch]:
        """Yield the same batches, to be looked at."""


@dataclass(frozen=True)
class Contender:
    """A way to do the work.

    Attributes:
        name: Who.
        differs: What of the work it does not do, or does besides.
        settings: One or more ways to use it; the fastest is measured.
        whole: False for a part of the work, which gives no padded batches to be checked.
    """

    name: str
    differs: str
    settings: Mapping[str, Callable[[Rows], Epoch]]
    whole: bool = True


def for_one_length(epoch: Callable[[Rows, int], Epoch]) -> dict[str, Callable[[Rows], Epoch]]:
    """Return settings for those who pad to one length: the longest, so that nothing is cut.

    With `SLOTS` slots a batch has few rows, and there are many batches; so that they may also have
    the rows, if not the slots, of those who put like lengths together.
    """
    return {
        f"{SLOTS:,} slots a batch": lambda rows: epoch(rows, SLOTS // rows.longest),
        "as many rows a batch as buckets have": lambda rows: epoch(rows, rows.bucketed_batch_size),
    }


@dataclass(frozen=True)
class Summary:
    """What the batches of one epoch hold."""

    rows: int
    steps: int
    slots: int
    batches: int
    lengths: int  # how many different ones
    shapes: int
    checksum: int  # of the multiset of rows

    @property
    def efficiency(self) -> float:
        return self.steps / self.slots


def seconds(epoch: Epoch) -> float:
    start = time.perf_counter()
    epoch.read()
    return time.perf_counter() - start


def summarise(epoch: Epoch) -> Summary:
    rows = steps = slots = batches = checksum = 0
    shapes = set()
    for ids, mask in epoch.batches():
        mask = np.asarray(mask, bool)
        row_lengths = mask.sum(1)
        checksum += multiset_checksum(ids[mask], row_lengths)
        rows += len(ids)
        steps += int(row_lengths.sum())
        slots += mask.size
        batches += 1
        shapes.add(mask.shape)
    lengths = {length for _, length in shapes}
    return Summary(rows, steps, slots, batches, len(lengths), len(shapes), checksum % 2**64)


AT_ONCE = 100_000
"""Rows whose checksum is made at once: it takes ten times their memory."""


def does_the_work(summary: Summary, rows: Rows) -> bool:
    """Return whether each row came once, whole and in its own order, in whatever company."""
    num_rows, expected = len(rows.row_lengths), 0
    for first in range(0, num_rows, AT_ONCE):
        splits = rows.row_splits[first : first + AT_ONCE + 1]
        expected += multiset_checksum(rows.token_ids[splits[0] : splits[-1]], np.diff(splits))
    return (summary.rows, summary.checksum) == (num_rows, expected % 2**64)


def multiset_checksum(token_ids: np.ndarray, row_lengths: np.ndarray) -> int:
    """Return a number that is the same for the same rows in any order, and for no others."""
    ends = np.cumsum(row_lengths)
    starts = ends - row_lengths
    position = np.arange(len(token_ids)) - np.repeat(starts, row_lengths)
    steps = _scatter(_scatter(token_ids.astype(np.uint64)) + position.astype(np.uint64))
    before = np.concatenate([[np.uint64(0)], np.cumsum(steps, dtype=np.uint64)])
    of_rows = _scatter(before[ends] - before[starts] + row_lengths.astype(np.uint64))
    return int(of_rows.sum(dtype=np.uint64))


def _scatter(numbers: np.ndarray) -> np.ndarray:
    """Return 64 bits that look random for each number (splitmix64)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
