"""What packing would give, told before it is done: near what `Pack` gives."""

import functools
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data._packed_rows import PackedRows, sample_lengths
from tests.speed.packed_rows import lognormal_lengths

LENGTH, BATCH_SIZE = 64, 8
RANDOM = np.random.default_rng(0)
ROW_LENGTHS = {
    "short": lognormal_lengths(12_000, LENGTH / 12, LENGTH),
    "long": RANDOM.integers(LENGTH // 2, LENGTH + 1, 5_000),
    "any": RANDOM.integers(0, LENGTH + 1, 9_000),
    "two that fit and leave a gap": np.full(9_000, 26),
    "few": RANDOM.integers(1, 13, 300),
}
TOLERANCE = 0.015


class Packing:
    """Row lengths -> the share of real steps that `Pack` reaches; built once."""

    def __init__(self) -> None:
        self.lengths = np.zeros(0, int)
        lengths = tf.data.Dataset.from_generator(
            self.blocks, output_signature=tf.TensorSpec([None], tf.int64)
        )
        rows = lengths.map(lambda block: {"tokens": tf.ragged.range(block)})
        self.batches = rows.apply(md.Pack({"tokens": LENGTH}, BATCH_SIZE))

    def blocks(self) -> Iterator[np.ndarray]:
        yield from np.array_split(self.lengths, 3)

    def efficiency(self, lengths: np.ndarray) -> float:
        self.lengths = lengths
        packed_rows = sum(int(b["segment_mask"].numpy().any(1).sum()) for b in self.batches)
        return float(lengths.sum()) / (packed_rows * LENGTH)


@functools.cache
def packing() -> Packing:
    return Packing()


def estimate(lengths: np.ndarray) -> PackedRows:
    distinct, counts = np.unique(lengths, return_counts=True)
    sample = sample_lengths(distinct[None], counts)
    return PackedRows.estimate(sample, (LENGTH,), num_rows=len(lengths), steps=lengths.sum())


@pytest.mark.parametrize("name", ROW_LENGTHS)
def test_the_estimate_is_near_what_pack_gives(name: str) -> None:
    lengths = ROW_LENGTHS[name]
    given = packing().efficiency(lengths)
    assert 1 - estimate(lengths).padding == pytest.approx(given, abs=TOLERANCE)


def test_a_bound_would_not_do() -> None:
    given = packing().efficiency(ROW_LENGTHS["two that fit and leave a gap"])
    assert given < 1 - 10 * TOLERANCE  # all steps, without a gap, would fill 1


def test_the_sample_has_what_is_rare() -> None:
    [sample] = sample_lengths(np.array([[1, 5, 7]]), np.array([6_000, 10_000, 384]))
    assert np.unique(sample, return_counts=True)[1].tolist() == [1_500, 2_500, 96]
    [all_of_them] = sample_lengths(np.array([[1, 5, 7]]), np.array([1, 0, 2]))
    assert all_of_them.tolist() == [1, 7, 7]


@pytest.mark.parametrize(
    ("slots", "pairs", "words"),
    [
        (2_000, 20_000, "0.50 times the slots, 0.50 times the attention: it pays"),
        (2_000, 5_000, "2.00 times the attention: it pays, unless attention costs most"),
        (1_020, 20_000, "0.98 times the slots, 0.50 times the attention: it does not pay"),
    ],
)
def test_when_it_pays(slots: int, pairs: int, words: str) -> None:
    packed = PackedRows((10,), rows=100, steps=985)
    lines = packed.compare(slots, pairs).splitlines()
    assert lines[0] == "packed to 10 steps: about 1.5% padding, one shape;"
    assert lines[1].endswith(words)


def test_a_plan_and_a_description_tell_the_same() -> None:
    lengths = ROW_LENGTHS["short"]
    plan = md.plan_buckets({"tokens": lengths}, 4, batch_size=32)
    rows = md.from_rows({"tokens": [np.zeros(n, int) for n in lengths], "label": lengths})
    bucket = md.BucketBySequenceLength(
        plan.feature, plan.bucket_boundaries, plan.bucket_batch_sizes
    )
    batches = md.Chain(bucket, md.ToDense(lengths=plan.lengths), md.FillRows(multiple_of=32))(rows)
    described = md.describe(batches)
    assert described.features["tokens"].packed == plan.packed
    told = str(plan).splitlines()[-2].removeprefix("All rows ")
    assert (
        told
        == f"packed to {lengths.max()} steps: about {plan.packed.padding:.1%} padding, one shape;"
    )
    assert f"tokens {told}" in str(described)


def test_several_features_are_packed_together() -> None:
    pairs = {"source": [1, 1, 1, 1, 4], "target": [3, 3, 3, 3, 2]}
    plan = md.plan_buckets(pairs, 1, batch_size=1)
    assert plan.packed == PackedRows((4, 3), rows=5.0, steps=22)
    assert "All rows packed to 4 and 3 steps: about 37.1% padding" in str(plan)


def test_what_is_not_estimated() -> None:
    nested = md.from_rows({"chars": [[[1], [2, 3]], [[4]]]})
    packed = md.from_rows({"tokens": [[1, 2], [3]]}).apply(md.Pack({"tokens": 4}, 1, "first_fit"))
    for dataset in (nested, packed, nested.take(0)):
        described = md.describe(dataset)
        assert [feature.packed for feature in described.features.values()] in ([None], [])
        assert " packed to " not in str(described)
    without_steps = md.describe(
        md.from_rows({"tokens": tf.RaggedTensor.from_row_lengths(tf.zeros([0]), [0, 0])})
    )
    assert without_steps.features["tokens"].packed is None
