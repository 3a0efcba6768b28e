"""The rows of the benchmark of packing, and how packed batches are looked at: NumPy and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.speed.contender import Batch, Summary
from tests.speed.rows import Rows

LENGTH, BATCH_SIZE, NUM_BINS = 512, 64, 64
MEANS = [LENGTH / 25, LENGTH / 6, LENGTH / 3]


def lognormal_lengths(
    num_rows: int, mean: float, longest: int = LENGTH, seed: int = 0
) -> np.ndarray:
    """Return row lengths, lognormal, at least 1 and at most `longest`."""
    rng = np.random.default_rng(seed)
    lengths = rng.lognormal(np.log(mean) - 0.18, 0.6, num_rows).astype(int)
    return np.clip(lengths, 1, longest)


def write(directory: Path, num_rows: int, mean: float) -> Rows:
    """Write rows of ids above 0, for `tests.speed.rows.load`."""
    directory.mkdir()
    row_lengths = lognormal_lengths(num_rows, mean)
    token_ids = np.random.default_rng(1).integers(1, 30_000, row_lengths.sum(), np.int32)
    np.save(directory / "token_ids.npy", token_ids)
    np.save(directory / "row_lengths.npy", row_lengths)
    return Rows(token_ids, row_lengths, directory)


def unpacked(token_ids: np.ndarray, segment_ids: np.ndarray) -> Iterator[Batch]:
    """Yield for each packed row the rows in it, padded."""
    for ids, segments in zip(token_ids, segment_ids, strict=True):
        if not segments.any():  # at the end of the last batch
            continue
        _, row_lengths = np.unique(segments[segments > 0], return_counts=True)
        mask = np.arange(row_lengths.max()) < row_lengths[:, None]
        rows = np.zeros(mask.shape, ids.dtype)
        rows[mask] = ids[segments > 0]
        yield rows, mask


def efficiency(summary: Summary) -> float:
    """Return the share of the slots that is real steps: each batch of the summary is a packed row."""
    return summary.steps / (summary.batches * LENGTH)


def first_fit_efficiency(lengths: np.ndarray, length: int, num_bins: int = NUM_BINS) -> float:
    """Return the share of real steps with first fit into so many open bins, as grain does it."""
    room, num_left = np.zeros(num_bins, int), -num_bins
    for steps in lengths.tolist():
        first = int((room >= steps).argmax())
        if room[first] < steps:
            room[:], first, num_left = length, 0, num_left + num_bins
        room[first] -= steps
    return float(lengths.sum() / ((num_left + (room < length).sum()) * length))
