"""The rows of every benchmark, as files that any library can load: NumPy and nothing else."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

BOUNDARIES = [8, 12, 16, 20, 26, 34, 48, 80]
BATCH_SIZES = [512, 340, 256, 204, 157, 120, 85, 51, 16]
SLOTS = 4096  # what a batch holds, steps and padding together, or about as much


@dataclass(frozen=True)
class Rows:
    """Rows of token ids, and the same rows as lines of text in `directory`."""

    token_ids: np.ndarray  # of all rows, one after the other; 0 is free for padding
    row_lengths: np.ndarray
    directory: Path

    @property
    def text(self) -> Path:
        return self.directory / "text.txt"

    @property
    def words(self) -> list[str]:
        return (self.directory / "words.txt").read_text().splitlines()

    @cached_property
    def row_splits(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.row_lengths)])

    def as_arrays(self) -> list[np.ndarray]:
        return np.split(self.token_ids, self.row_splits[1:-1])

    @property
    def longest(self) -> int:
        return int(self.row_lengths.max())

    @property
    def batch_size(self) -> int:
        """How many rows, drawn at random and padded to their longest, make about `SLOTS` slots."""
        at_most = np.cumsum(np.bincount(self.row_lengths)) / len(self.row_lengths)
        sizes = np.arange(1, 513)
        longest = (1 - at_most[:, None] ** sizes).sum(0)  # expected, for each size
        return int(sizes[sizes * longest <= SLOTS][-1])

    @property
    def bucketed_batch_size(self) -> int:
        """How many rows a batch has on average if like lengths stand together."""
        return int(len(self.row_lengths) * SLOTS / self.row_lengths.sum())


def write(directory: Path, num_rows: int, num_words: int, seed: int = 0) -> Rows:
    """Write rows of about 24 words, lognormal lengths and Zipf words, as ids and as text."""
    directory.mkdir()
    rng = np.random.default_rng(seed)
    words = np.array([f"w{n}" for n in range(num_words)])
    row_lengths = np.clip(rng.lognormal(np.log(24) - 0.18, 0.6, num_rows).astype(int), 0, 256)
    numbers = np.minimum(rng.zipf(1.2, row_lengths.sum()), num_words) - 1
    rows = Rows(numbers + 2, row_lengths, directory)  # maskdata's ids of words begin at 2
    np.save(directory / "token_ids.npy", rows.token_ids)
    np.save(directory / "row_lengths.npy", rows.row_lengths)
    (directory / "words.txt").write_text("\n".join(words))
    with rows.text.open("w") as file:
        for row in rows.as_arrays():
            file.write(" ".join(words[row - 2]) + "\n")
    return rows


def load(directory: Path) -> Rows:
    return Rows(
        np.load(directory / "token_ids.npy"), np.load(directory / "row_lengths.npy"), directory
    )
