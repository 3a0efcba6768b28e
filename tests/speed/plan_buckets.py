"""How much the planned buckets save over the usual ones, and how long it takes to plan them.

`python -m tests.speed.plan_buckets` prints the tables of docs/planning.md.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from maskdata.data.bucket_plan import plan_buckets

NUM_BUCKETS = [4, 8, 16]
MAX_TOKENS = 4096


def text_lengths(num_rows: int, seed: int = 0) -> np.ndarray:
    """Return the lengths of the lines of `text_pipeline`: about 24 words, lognormal."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.lognormal(np.log(24) - 0.18, 0.6, num_rows).astype(int), 0, 256)


def long_lengths(num_rows: int, seed: int = 0) -> np.ndarray:
    """Return lengths that take nearly every value up to 4,096."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.lognormal(np.log(600), 1.0, num_rows).astype(int), 1, 4096)


def evenly_spaced(lengths: np.ndarray, num_buckets: int) -> np.ndarray:
    return np.linspace(0, lengths.max(), num_buckets + 1)[1:]


def geometric(lengths: np.ndarray, num_buckets: int) -> np.ndarray:
    return np.geomspace(8, lengths.max(), num_buckets)


def as_many_rows(lengths: np.ndarray, num_buckets: int) -> np.ndarray:
    return np.quantile(lengths, np.arange(1, num_buckets + 1) / num_buckets)


def as_many_steps(lengths: np.ndarray, num_buckets: int) -> np.ndarray:
    ordered = np.sort(lengths)
    share = np.cumsum(ordered) / ordered.sum()
    return ordered[np.searchsorted(share, np.arange(1, num_buckets + 1) / num_buckets - 1e-9)]


def planned(lengths: np.ndarray, num_buckets: int) -> np.ndarray:
    return np.array(plan_buckets(lengths, num_buckets, max_tokens=MAX_TOKENS).longest)


CONTENDERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "evenly spaced": evenly_spaced,
    "geometric, from 8 to the longest": geometric,
    "as many rows in each bucket": as_many_rows,
    "as many steps in each bucket": as_many_steps,
    "plan_buckets": planned,
}


def efficiency(lengths: np.ndarray, ends: np.ndarray) -> float:
    """Return the share of real steps if each row is padded to the longest of its bucket."""
    bucket = np.searchsorted(ends, np.maximum(lengths, 1))
    longest = np.ones(len(ends), int)
    np.maximum.at(longest, bucket, lengths)
    return float(lengths.sum() / longest[bucket].sum())


def print_efficiency(num_rows: int) -> dict[str, list[float]]:
    lengths = text_lengths(num_rows)
    found = {
        name: [efficiency(lengths, ends(lengths, k)) for k in NUM_BUCKETS]
        for name, ends in CONTENDERS.items()
    }
    table = Table(title=f"Share of real steps: {num_rows:,} rows, {lengths.mean():.1f} steps each")
    table.add_column("boundaries")
    for num_buckets in NUM_BUCKETS:
        table.add_column(f"{num_buckets} buckets", justify="right")
    for name, shares in found.items():
        table.add_row(name, *(f"{share:.1%}" for share in shares))
    Console(width=120).print(table)
    return found


def print_seconds(num_rows: int, rounds: int) -> None:
    long = long_lengths(num_rows)
    like_long = np.clip(long + np.random.default_rng(1).integers(-90, 90, num_rows), 1, 4096)
    table = Table(title=f"Seconds to plan 16 buckets for {num_rows:,} rows, median of {rounds}")
    for column in ("features", "different lengths", "seconds"):
        table.add_column(column, justify="right")
    for arrays in ([text_lengths(num_rows)], [long], [long, like_long]):
        by_name = dict(zip("ab", arrays, strict=False))
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            plan_buckets(by_name, 16, max_tokens=2**20)
            seconds.append(time.perf_counter() - start)
        different = " and ".join(f"{len(np.unique(array)):,}" for array in arrays)
        table.add_row(str(len(arrays)), different, f"{statistics.median(seconds):.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print_efficiency(arguments.rows)
    print_seconds(arguments.rows, arguments.rounds)
