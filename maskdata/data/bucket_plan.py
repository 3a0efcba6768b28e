"""Row lengths -> the buckets with the least padding."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from maskdata.data import _check
from maskdata.data._buckets import Bucket, BucketPlan
from maskdata.data._budget import Budget, Cost, sum_of_lengths
from maskdata.data._least_padding import Floats, Ints, least_padding
from maskdata.data._packed_rows import sample_lengths
from maskdata.data._row_lengths import row_lengths

__all__ = ["Bucket", "BucketPlan", "plan_buckets"]


def plan_buckets(
    lengths: npt.ArrayLike | Mapping[str, npt.ArrayLike] | tf.data.Dataset,
    num_buckets: int,
    *,
    features: str | Sequence[str] | None = None,
    max_tokens: float | None = None,
    batch_size: int | None = None,
    multiple_of: int = 1,
    length_multiple_of: int = 1,
    cost: Cost | None = None,
) -> BucketPlan:
    """Find the buckets that pad least, and the batch sizes that a budget allows.

    Stage: row lengths -> **a plan of buckets**, for `BucketBySequenceLength` and `ToDense`.

    No other `num_buckets` buckets have a smaller total of padded cost: the plan is the exact optimum. It
    is a value: `plan.feature`, `plan.bucket_boundaries` and `plan.bucket_batch_sizes` are the arguments
    of `BucketBySequenceLength`, `plan.lengths` is that of `ToDense`, which then gives one padded length
    for each bucket. `plan.efficiency` is the share of real steps, `plan.num_batches` the batches
    of an epoch; `print(plan)` is a table of it, `plan.plot()` a figure. `plan.packed` tells about how
    full `Pack` would make packed rows of the longest length, and the table whether that pays. An
    empty row counts as one step, because it is padded. The time grows with the square of the number of different lengths:
    tell `length_multiple_of` if there are more than ten thousand.

    Args:
        lengths: The row lengths in steps: an array, a mapping of features to arrays, or a dataset of
            blocks, which is read once.
        num_buckets: How many buckets to make.
        features: The ragged features of the dataset that are padded, or one of them. If there are
            several, a row goes to its bucket by the one of them that gives the least cost, and
            the padded lengths of all are chosen together.
        max_tokens: The most that a batch may cost: its rows times the cost of a padded row.
        batch_size: The rows of every batch, in place of `max_tokens`.
        multiple_of: Batch sizes are multiples of this, for example the number of replicas.
        length_multiple_of: Padded lengths are multiples of this, for example 8 or 128 for the tiles
            of a device.
        cost: A function from padded lengths, an int array for each feature, to what a row of each
            costs. By default a step costs one, those of all features are added. What is quadratic
            in attention may be `lambda n: n + n**2 / 512`.

    Shapes:
        in: an array [N], or `name` [N, (T), ...] ragged
        out: batches [B, L] have one of `num_buckets` lengths L, each with its own B; less at the end

    Raises:
        TypeError, ValueError: When called, for a bad argument, for lengths that are no whole
            numbers of at least 0, for more buckets than different lengths, for a budget below the cost
            of a row, and for a cost that is not positive and finite.

    Example:
        >>> plan = md.plan_buckets([1, 1, 1, 2, 5, 6], num_buckets=2, max_tokens=12)
        >>> plan.bucket_boundaries, plan.bucket_batch_sizes, plan.lengths
        ((3,), (6, 2), [2, 6])
        >>> plan.efficiency, plan.num_batches
        (0.8, 2)
        >>> rows = md.from_rows({"tokens": [[1], [2], [3], [4, 5], [6] * 5, [7] * 6]})
        >>> plan = md.plan_buckets(rows, 2, features="tokens", batch_size=2)
        >>> bucket = md.BucketBySequenceLength(plan.feature, plan.bucket_boundaries, plan.bucket_batch_sizes)
        >>> [batch["tokens"].shape.as_list() for batch in md.Chain(bucket, md.ToDense(lengths=plan.lengths))(rows)]
        [[2, 2], [2, 2], [2, 6]]

    Source: `lhotse` (`DynamicBucketingSampler`, `quadratic_duration`) has budgets and costs, with
    buckets of equal total duration.
    """
    who = "plan_buckets"
    _check.integer(who, "num_buckets", num_buckets)
    _check.integer(who, "length_multiple_of", length_multiple_of)
    row_costs = sum_of_lengths if cost is None else cost
    budget = Budget(who, max_tokens, batch_size, multiple_of, row_costs)
    names, true_lengths = row_lengths(who, lengths, features)
    padded = np.maximum(-(-true_lengths // length_multiple_of), 1) * length_multiple_of
    budget.check_rows(true_lengths, padded)

    def row_cost(padded: Ints) -> Floats:
        costs = budget.costs(padded)
        return np.where(budget.batch_sizes(costs) > 0, costs, np.inf)

    num_distinct = [len(np.unique(of_feature)) for of_feature in padded]
    if num_buckets > max(num_distinct):
        _check.refuse(
            who,
            f"num_buckets must be at most {max(num_distinct)}, the number of different lengths",
            num_buckets,
            "More buckets would be empty.",
        )
    plans = [
        (*least_padding(padded, deciding, num_buckets, row_cost), deciding)
        for deciding in range(len(padded))
        if num_distinct[deciding] >= num_buckets
    ]
    least, longest, deciding = min(plans, key=lambda plan: plan[0])
    if math.isinf(least):
        _check.refuse(
            who,
            f"max_tokens must allow {multiple_of} rows in each of {num_buckets} buckets, padded to "
            "the longest in each feature",
            max_tokens,
            "Raise it, or num_buckets.",
        )
    costs = budget.costs(longest)
    bucket_of_row = np.searchsorted(longest[deciding], padded[deciding])
    rows = np.bincount(bucket_of_row)
    steps = np.bincount(bucket_of_row, weights=true_lengths.sum(axis=0))
    columns = zip(longest.T.tolist(), costs, budget.batch_sizes(costs), rows, steps, strict=True)
    return BucketPlan(
        feature=names[deciding] if names else None,
        features=names,
        buckets=tuple(
            Bucket(tuple(n), float(c), int(b), int(r), int(s)) for n, c, b, r, s in columns
        ),
        histogram=_histogram(true_lengths[deciding]),
        sample=_sample(true_lengths),
    )


def _histogram(lengths: Ints) -> tuple[tuple[int, int], ...]:
    distinct, rows = np.unique(lengths, return_counts=True)
    return tuple(zip(distinct.tolist(), rows.tolist(), strict=True))


def _sample(lengths: Ints) -> tuple[tuple[int, ...], ...]:
    ordered = lengths[:, np.lexsort(lengths)]
    sampled = sample_lengths(ordered, np.ones(lengths.shape[1], np.int64))
    return tuple(map(tuple, sampled.tolist()))
