"""The plan of buckets: nothing cheaper exists, and the batches are what it says."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maskdata.data.bucket import BucketBySequenceLength
from maskdata.data.bucket_plan import BucketPlan, plan_buckets
from maskdata.data.dense import ToDense
from tests.strategies import cuts, in_blocks

Rows = list[tuple[int, ...]]
"""The lengths of each row, one for each feature."""

COSTS: dict[str, Callable[..., Any]] = {
    "steps": lambda *lengths: sum(lengths),
    "attention": lambda *lengths: sum(n + n**2 / 8 for n in lengths),
    "product": lambda *lengths: math.prod(lengths),
    "not monotone": lambda *lengths: 1 + sum(lengths) % 4,
}


@st.composite
def tables(draw: st.DrawFn, max_rows: int = 9) -> Rows:
    """Draw rows of one to three features; ties, zeros and a few long rows are likely."""
    num_features = draw(st.integers(1, 3))
    length = st.integers(0, 6) | st.sampled_from([0, 17, 40])
    return draw(st.lists(st.tuples(*[length] * num_features), min_size=1, max_size=max_rows))


def by_name(rows: Rows) -> dict[str, list[int]]:
    return dict(zip("abc", map(list, zip(*rows, strict=True)), strict=False))


def round_up(rows: Rows, multiple: int) -> Rows:
    return [tuple(max(1, math.ceil(n / multiple)) * multiple for n in row) for row in rows]


def cost_of(buckets: Sequence[Rows], cost: Callable[..., Any], budget: float = math.inf) -> float:
    """Return what these buckets cost, each row padded to the longest of its bucket; inf over budget."""
    total = 0.0
    for bucket in buckets:
        of_row = cost(*map(max, zip(*bucket, strict=True)))
        total += of_row * len(bucket) if of_row <= budget else math.inf
    return total


def all_buckets(rows: Rows, num_buckets: int) -> list[list[Rows]]:
    """Return every way to cut the rows into this many buckets by the length of one feature."""
    found = []
    for deciding in range(len(rows[0])):
        distinct = sorted({row[deciding] for row in rows})
        for ends in itertools.combinations(distinct[:-1], num_buckets - 1):
            edges = [0, *ends, distinct[-1]]
            found.append(
                [
                    [row for row in rows if low < row[deciding] <= high]
                    for low, high in itertools.pairwise(edges)
                ]
            )
    return found


def check_nothing_is_cheaper(
    rows: Rows, buckets: Sequence[Rows], cost: Callable[..., Any], budget: float = math.inf
) -> None:
    cheapest = min(cost_of(other, cost, budget) for other in all_buckets(rows, len(buckets)))
    assert cost_of(buckets, cost, budget) == pytest.approx(cheapest)


def rows_by_bucket(rows: Rows, plan: BucketPlan) -> list[Rows]:
    """Return the rows of each bucket, by tf.data's rule: the first boundary above the length."""
    deciding = plan.features.index(plan.feature) if plan.feature else 0
    buckets: list[Rows] = [[] for _ in plan.buckets]
    for row in rows:
        below = [boundary > row[deciding] for boundary in plan.bucket_boundaries]
        buckets[below.index(True) if any(below) else -1].append(row)
    return buckets


@given(tables(), st.integers(1, 4), st.sampled_from([1, 2, 8]), st.sampled_from(list(COSTS)))
def test_no_other_buckets_cost_less(rows: Rows, num_buckets: int, multiple: int, name: str) -> None:
    padded, cost = round_up(rows, multiple), COSTS[name]
    assume(all_buckets(padded, num_buckets))
    plan = plan_buckets(
        by_name(rows), num_buckets, batch_size=4, length_multiple_of=multiple, cost=cost
    )
    buckets = rows_by_bucket(padded, plan)
    check_nothing_is_cheaper(padded, buckets, cost)
    for bucket, planned in zip(buckets, plan.buckets, strict=True):
        assert planned.lengths == tuple(map(max, zip(*bucket, strict=True)))
        assert planned.cost == cost(*planned.lengths)
        assert planned.rows == len(bucket)
    assert sum(bucket.steps for bucket in plan.buckets) == sum(map(sum, rows))


@given(tables(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 200))
def test_none_within_the_budget_cost_less(
    rows: Rows, num_buckets: int, multiple_of: int, max_tokens: int
) -> None:
    padded, cost = round_up(rows, 1), COSTS["steps"]
    assume(all_buckets(padded, num_buckets))
    budget = max_tokens / multiple_of
    cheapest = min(cost_of(buckets, cost, budget) for buckets in all_buckets(padded, num_buckets))
    arguments = {"max_tokens": max_tokens, "multiple_of": multiple_of}
    if cheapest == math.inf:
        with pytest.raises(ValueError, match="plan_buckets: max_tokens must"):
            plan_buckets(by_name(rows), num_buckets, **arguments)
        return
    plan = plan_buckets(by_name(rows), num_buckets, **arguments)
    check_nothing_is_cheaper(padded, rows_by_bucket(padded, plan), cost, budget)
    for bucket in plan.buckets:
        assert bucket.batch_size % multiple_of == 0
        assert bucket.batch_size * bucket.cost <= max_tokens
        assert (bucket.batch_size + multiple_of) * bucket.cost > max_tokens


@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows: Rows, random: Any) -> None:
    shuffled = random.sample(rows, len(rows))
    first, second = (plan_buckets(by_name(r), 1, batch_size=2) for r in (rows, shuffled))
    assert first == second
    assert hash(first) == hash(second)


def _evenly_spaced(lengths: list[int], num_buckets: int) -> list[float]:
    return [max(lengths) * k / num_buckets for k in range(1, num_buckets)]


def _geometric(lengths: list[int], num_buckets: int) -> list[float]:
    return [max(lengths) ** (k / num_buckets) for k in range(1, num_buckets)]


def _as_many_rows_in_each(lengths: list[int], num_buckets: int) -> list[float]:
    return [sorted(lengths)[len(lengths) * k // num_buckets - 1] for k in range(1, num_buckets)]


@pytest.mark.parametrize("usual", [_evenly_spaced, _geometric, _as_many_rows_in_each])
def test_the_law_catches_the_usual_boundaries(usual: Any) -> None:
    lengths = [1, 1, 1, 2, 2, 3, 4, 7, 8, 9, 16, 17, 40, 41]
    edges = [0, *usual(lengths, 3), 41]
    buckets = [[(n,) for n in lengths if a < n <= b] for a, b in itertools.pairwise(edges)]
    with pytest.raises(AssertionError):
        check_nothing_is_cheaper([(n,) for n in lengths], buckets, COSTS["steps"])


def test_the_law_catches_a_plan_that_looks_at_one_feature() -> None:
    rows = [(1, 9), (2, 9), (2, 1), (3, 1)]
    blind = plan_buckets([source for source, _ in rows], 2, batch_size=4)
    with pytest.raises(AssertionError):
        check_nothing_is_cheaper(rows, rows_by_bucket(rows, blind), COSTS["steps"])
    plan = plan_buckets(by_name(rows), 2, batch_size=4)
    check_nothing_is_cheaper(rows, rows_by_bucket(rows, plan), COSTS["steps"])


def blocks_of(rows: Rows, bounds: Sequence[int]) -> tf.data.Dataset:
    element = {
        name: tf.RaggedTensor.from_row_lengths(tf.zeros([sum(lengths)], tf.int8), lengths)
        for name, lengths in by_name(rows).items()
    }
    return in_blocks(element, bounds)


def check_batches(plan: BucketPlan, rows: Rows, boundaries: Sequence[int] | None = None) -> None:
    """Check that bucketing and padding by the plan gives what the plan says."""
    bucket = BucketBySequenceLength(
        plan.feature or "a", boundaries or plan.bucket_boundaries, plan.bucket_batch_sizes
    )
    batches = ToDense(lengths=plan.lengths)(bucket(blocks_of(rows, [0, len(rows)])))
    names = list(by_name(rows))
    shapes = [[batch[name].shape.as_list() for name in names] for batch in batches]
    assert len(shapes) == plan.num_batches
    planned = {b.lengths: (b.rows, b.num_batches, b.batch_size) for b in plan.buckets}
    found: dict[tuple[int, ...], list[int]] = {}
    for shape in shapes:
        found.setdefault(tuple(length for _, length in shape), []).append(shape[0][0])
    assert len(found) == plan.num_shapes
    for lengths, counts in found.items():
        num_rows, num_batches, batch_size = planned[lengths]
        assert (sum(counts), len(counts)) == (num_rows, num_batches)
        assert counts[:-1] == [batch_size] * (num_batches - 1)
    slots = sum(sum(num_rows * length for num_rows, length in shape) for shape in shapes)
    assert sum(map(sum, rows)) / slots == pytest.approx(plan.efficiency)


@settings(max_examples=settings.default.max_examples // 3)  # each builds a pipeline
@given(tables(max_rows=12), st.integers(1, 3), st.sampled_from([1, 4]))
def test_the_batches_are_what_the_plan_says(rows: Rows, num_buckets: int, multiple: int) -> None:
    assume(all_buckets(round_up(rows, multiple), num_buckets))
    lengths = by_name(rows) if len(rows[0]) > 1 else by_name(rows)["a"]
    plan = plan_buckets(lengths, num_buckets, batch_size=2, length_multiple_of=multiple)
    check_batches(plan, rows)


def test_the_law_catches_boundaries_that_are_one_too_low() -> None:
    rows = [(2, 1), (9, 8), (2, 1), (9, 8)]
    plan = plan_buckets(by_name(rows), 2, batch_size=2)
    check_batches(plan, rows)
    with pytest.raises(AssertionError):
        check_batches(plan, rows, [boundary - 1 for boundary in plan.bucket_boundaries])


@settings(max_examples=settings.default.max_examples // 3)
@given(st.data())
def test_blocks_do_not_matter(data: st.DataObject) -> None:
    rows = data.draw(tables())
    blocks = blocks_of(rows, data.draw(cuts(len(rows))))
    names = list(by_name(rows))
    plan = plan_buckets(blocks, 1, features=names, batch_size=3)
    assert plan == plan_buckets(by_name(rows), 1, batch_size=3)
    assert plan.num_batches == math.ceil(len(rows) / 3)
    assert sum(count for _, count in plan.histogram) == len(rows)
