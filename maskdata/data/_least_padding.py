"""Row lengths -> the buckets that cost least: the exact optimum, by dynamic programming."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
RowCost = Callable[[Ints], Floats]
"""Padded lengths [F, N] of N rows with F features -> what each row costs, [N]."""


def least_padding(
    lengths: Ints, deciding: int, num_buckets: int, row_cost: RowCost
) -> tuple[float, Ints]:
    """Return the least cost of rows in exactly `num_buckets` buckets, and their padded lengths [F, K].

    Args:
        lengths: The row lengths of each feature, [F, N].
        deciding: The feature by whose length a row goes to its bucket.
        num_buckets: How many buckets to make, K.
        row_cost: What one row costs, padded to these lengths; infinite where it must not be.

    >>> least_padding(np.array([[1, 2, 9, 1]]), 0, 2, lambda padded: padded.sum(axis=0, dtype=float))
    (15.0, array([[2, 9]]))
    """
    distinct, group, rows = np.unique(lengths[deciding], return_inverse=True, return_counts=True)
    longest = np.zeros([len(lengths), len(distinct)], np.int64)
    for of_group, of_row in zip(longest, lengths, strict=True):
        np.maximum.at(of_group, group, of_row)
    costs = bucket_costs(longest, rows, row_cost)
    least, ends = least_cost(costs, len(distinct), num_buckets)
    return least, np.maximum.reduceat(longest, [0, *ends[:-1]], axis=1)


def bucket_costs(longest: Ints, rows: Ints, row_cost: RowCost) -> Iterator[Floats]:
    """Yield for each `end` in 1, 2, ..., M what the buckets `[start, end)` cost, for every start.

    Rows that are as long in the feature that decides are a group; the groups are sorted. A bucket
    is a run of groups, and all its rows are padded to the longest of them in each feature.

    Args:
        longest: The longest row of each group in each feature, [F, M].
        rows: How many rows each group has, [M].
        row_cost: As in `least_padding`.
    """
    rows_before = np.concatenate([[0], np.cumsum(rows)])
    padded = np.zeros_like(longest)
    for end in range(1, len(rows) + 1):
        np.maximum(padded[:, :end], longest[:, end - 1 : end], out=padded[:, :end])
        yield row_cost(padded[:, :end]) * (rows_before[end] - rows_before[:end])


def least_cost(
    costs: Iterable[Floats], num_groups: int, num_buckets: int
) -> tuple[float, list[int]]:
    """Return the least total cost of exactly `num_buckets` buckets, and where each of them ends.

    The best k buckets up to a group are the best k - 1 up to some earlier one, then one bucket more:
    all k and all starts of that bucket are tried at once.

    Args:
        costs: As `bucket_costs` yields them.
        num_groups: How many groups there are, M.
        num_buckets: How many buckets to make, K.

    >>> longest, rows = np.array([[1, 2, 9]]), np.array([5, 1, 2])
    >>> costs = bucket_costs(longest, rows, lambda padded: padded[0].astype(float))
    >>> least_cost(costs, num_groups=3, num_buckets=2)
    (30.0, [2, 3])
    """
    least = np.full([num_buckets + 1, num_groups + 1], np.inf)
    least[0, 0] = 0.0
    last_start = np.zeros([num_buckets + 1, num_groups + 1], np.int64)
    totals = np.empty([num_buckets, num_groups])
    for end, cost in enumerate(costs, start=1):
        candidates = np.add(least[:-1, :end], cost, out=totals[:, :end])
        starts = candidates.argmin(axis=1)
        last_start[1:, end] = starts
        least[1:, end] = candidates[np.arange(num_buckets), starts]
    ends = [num_groups]
    for k in range(num_buckets, 1, -1):
        ends.append(int(last_start[k, ends[-1]]))
    return float(least[num_buckets, num_groups]), ends[::-1]
