"""plan_buckets: worked examples with answers computed by hand."""

import dataclasses
import json
import pathlib
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data.bucket_plan import Bucket, BucketPlan, plan_buckets

LENGTHS = [6, 1, 5, 1, 2, 1]
PAIRS = {"source": [1, 2, 2, 3], "target": [9, 9, 1, 1]}


def test_by_hand() -> None:
    # Two buckets end at 1, 2 or 5: 3*1 + 3*6 = 21, 4*2 + 2*6 = 20, 5*5 + 1*6 = 31.
    plan = plan_buckets(LENGTHS, 2, max_tokens=13)
    assert plan.buckets == (
        Bucket(lengths=(2,), cost=2.0, batch_size=6, rows=4, steps=5),
        Bucket(lengths=(6,), cost=6.0, batch_size=2, rows=2, steps=11),
    )
    assert (plan.feature, plan.features) == (None, ())
    assert (plan.bucket_boundaries, plan.bucket_batch_sizes, plan.lengths) == ((3,), (6, 2), [2, 6])
    assert (plan.efficiency, plan.num_batches, plan.num_shapes) == (16 / 20, 2, 2)
    assert [bucket.padding for bucket in plan.buckets] == [1 - 5 / 8, 1 - 11 / 12]
    assert plan.histogram == ((1, 3), (2, 1), (5, 1), (6, 1))


def test_a_cost_moves_the_buckets() -> None:
    # With n**2: 3*1 + 3*36 = 111, 4*4 + 2*36 = 88, 5*25 + 1*36 = 161; with n**16 the 6 stands alone.
    assert plan_buckets(LENGTHS, 2, max_tokens=80, cost=np.square).lengths == [2, 6]
    steep = plan_buckets(LENGTHS, 2, batch_size=2, cost=lambda n: n**16)
    assert steep.lengths == [5, 6]
    assert [bucket.cost for bucket in steep.buckets] == [5.0**16, 6.0**16]


def test_a_cost_cannot_change_the_lengths() -> None:
    with pytest.raises(ValueError, match="read-only"):
        plan_buckets(LENGTHS, 2, batch_size=2, cost=lambda n: np.add(n, 1, out=n))


def test_two_features() -> None:
    # By source, cut at 1: 1*(1+9) + 3*(3+9) = 46; at 2: 3*(2+9) + 1*(3+1) = 37.
    # By target, cut at 1: 2*(3+1) + 2*(2+9) = 30.
    plan = plan_buckets(PAIRS, 2, max_tokens=22)
    assert (plan.feature, plan.features) == ("target", ("source", "target"))
    assert plan.lengths == {("source", "target"): [(3, 1), (2, 9)]}
    assert (plan.bucket_boundaries, plan.bucket_batch_sizes) == ((2,), (5, 2))
    assert [bucket.cost for bucket in plan.buckets] == [4.0, 11.0]
    assert plan.efficiency == 28 / 30
    assert plan.histogram == ((1, 2), (9, 2))


def test_a_cost_of_two_features() -> None:
    only_source = plan_buckets(PAIRS, 2, batch_size=1, cost=lambda source, target: source)
    # By source, cut at 1: 1*1 + 3*3 = 10; at 2: 3*2 + 1*3 = 9. By target: 2*3 + 2*2 = 10.
    assert only_source.feature == "source"
    assert only_source.lengths == {("source", "target"): [(2, 9), (3, 1)]}


def test_labels_that_are_as_long() -> None:
    plan = plan_buckets({"tokens": LENGTHS, "tags": LENGTHS}, 2, max_tokens=26)
    assert plan.lengths == {("tokens", "tags"): [(2, 2), (6, 6)]}
    assert plan.bucket_batch_sizes == (6, 2)


@pytest.mark.parametrize(
    ("lengths", "features"),
    [
        ({"tokens": LENGTHS}, None),
        ({"tokens": LENGTHS, "other": [1] * 6}, "tokens"),
        ({"tokens": np.array(LENGTHS, np.uint8)}, ["tokens"]),
        ({"tokens": tf.constant(LENGTHS)}, ["tokens"]),
        (md.from_rows({"tokens": [[0] * n for n in LENGTHS]}, block_size=4), "tokens"),
        (md.from_rows({"tokens": [[0] * n for n in LENGTHS], "n": [7] * 6}), ["tokens"]),
        (md.from_rows({"tokens": [[[8, 9]] * n for n in LENGTHS]}), "tokens"),
    ],
)  # fmt: skip
def test_where_lengths_come_from(lengths: Any, features: Any) -> None:
    plan = plan_buckets(lengths, 2, features=features, max_tokens=13)
    assert (plan.feature, plan.features, plan.lengths) == (
        "tokens",
        ("tokens",),
        {"tokens": [2, 6]},
    )
    assert plan == plan_buckets({"tokens": LENGTHS}, 2, max_tokens=13)


def test_lengths_and_batch_sizes_that_are_multiples() -> None:
    plan = plan_buckets(LENGTHS, 2, max_tokens=50, multiple_of=4, length_multiple_of=4)
    assert plan.lengths == [4, 8]
    assert plan.bucket_batch_sizes == (12, 4)
    assert plan_buckets(LENGTHS, 2, batch_size=8, multiple_of=4).bucket_batch_sizes == (8, 8)


def test_rows_without_steps_count_as_one() -> None:
    plan = plan_buckets([0, 0, 3], 2, max_tokens=6)
    assert plan.lengths == [1, 3]
    assert plan.bucket_batch_sizes == (6, 2)
    assert plan.efficiency == 3 / 5
    assert plan_buckets([0], 1, batch_size=4).efficiency == 0


def test_uint8_does_not_overflow() -> None:
    plan = plan_buckets(np.array([255, 1], np.uint8), 1, max_tokens=510)
    assert plan.bucket_batch_sizes == (2,)
    assert plan_buckets(np.array([255, 255], np.uint8), 1, batch_size=1).buckets[0].steps == 510


def test_the_budget_keeps_features_apart_that_do_not_fit_together() -> None:
    # By source the first two stand together, padded to (2, 9): 11. Only a cut between them fits 10.
    pairs = {"source": [1, 2, 3], "target": [9, 1, 1]}
    assert plan_buckets(pairs, 2, batch_size=1).lengths == {("source", "target"): [(1, 9), (3, 1)]}
    with pytest.raises(ValueError, match="max_tokens must allow 1 rows in each of 1 buckets"):
        plan_buckets(pairs, 1, max_tokens=11)


def test_table() -> None:
    assert str(plan_buckets({"tokens": [*LENGTHS, *[900] * 3]}, 2, max_tokens=1800)) == "\n".join(
        [
            "9 rows in 3 batches of 2 lengths by tokens",
            "┏━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━┳━━━━━━━━━┳━━━━━━━━━┓",
            "┃ longest ┃ boundary ┃ batch size ┃ rows ┃ batches ┃ padding ┃",
            "┡━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━╇━━━━━━━━━╇━━━━━━━━━┩",
            "│       6 │        7 │        300 │    6 │       1 │   55.6% │",
            "│     900 │          │          2 │    3 │       2 │    0.0% │",
            "├─────────┼──────────┼────────────┼──────┼─────────┼─────────┤",
            "│         │          │            │    9 │       3 │    0.7% │",
            "└─────────┴──────────┴────────────┴──────┴─────────┴─────────┘",
            "All rows packed to 900 steps: about 24.6% padding, one shape;",
            "1.32 times the slots, 1.33 times the attention: it does not pay",
        ]
    )
    assert "longest source ┃ longest target ┃ boundary" in str(plan_buckets(PAIRS, 2, batch_size=2))


def test_a_plan_is_a_value() -> None:
    plan, same = (plan_buckets(PAIRS, 2, batch_size=2) for _ in range(2))
    assert plan == same
    assert hash(plan) == hash(same)
    assert plan != plan_buckets(PAIRS, 2, batch_size=3)
    assert json.loads(json.dumps(dataclasses.asdict(plan)))["feature"] == "target"


@pytest.mark.parametrize("lengths", [LENGTHS, PAIRS, [3], range(2000)])
def test_plot(lengths: Any, tmp_path: pathlib.Path) -> None:
    plan = plan_buckets(lengths, 2 if len(lengths) > 1 else 1, batch_size=2)
    figure = plan.plot(tmp_path / "plan.png")
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    top, bottom = figure.axes
    rows = sum(patch.get_height() for patch in top.patches)
    slots = sum(patch.get_height() for patch in bottom.patches)
    assert rows == sum(bucket.rows for bucket in plan.buckets)
    assert slots == sum(bucket.slots for bucket in plan.buckets)
    assert [tick.get_text() for tick in bottom.get_xticklabels()] == [
        f"{n:,}" for n in plan.longest
    ]
    assert len(top.lines) == plan.num_shapes


def test_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    plan = plan_buckets(LENGTHS, 2, batch_size=2)
    with pytest.raises(
        ImportError, match=r"must be installed, got .* pip install maskdata\[plot\]"
    ):
        plan.plot()


def test_the_plan_is_taken_by_the_transforms() -> None:
    rows = md.from_rows({name: [[0] * n for n in lengths] for name, lengths in PAIRS.items()})
    plan = plan_buckets(rows, 2, features=["source", "target"], batch_size=4)
    assert isinstance(plan, BucketPlan)
    assert plan.feature
    batch = md.Chain(
        md.BucketBySequenceLength(plan.feature, plan.bucket_boundaries, plan.bucket_batch_sizes),
        md.ToDense(lengths=plan.lengths),
    )
    described = md.describe(batch(rows), source=rows)
    assert described.batches == plan.num_batches
    slots = sum(feature.slots for feature in described.features.values())
    assert sum(feature.steps for feature in described.features.values()) / slots == plan.efficiency
