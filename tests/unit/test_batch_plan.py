"""BatchPlan: worked examples, in Keras and on replicas too."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data import _passes
from tests.strategies import all_rows, as_batches

SETTINGS: dict[str, Any] = {"num_buckets": 2, "batch_size": 2, "seed": 0}
TOKENS = [[1, 2, 3], [4], [5], [6, 7, 8, 9], [10]]
ROWS = md.from_rows({"tokens": TOKENS, "label": list("abcde")})


def plan(rows: Any = ROWS, features: Any = "tokens", **changes: Any) -> md.BatchPlan:
    return md.BatchPlan(rows, features, **SETTINGS | changes)


def test_what_a_plan_says() -> None:
    made = plan()
    assert (made.num_rows, made.num_batches, made.rows_left_out) == (5, 3, 0)
    assert made.buckets.lengths == {"tokens": [1, 4]}
    assert repr(made) == "BatchPlan(5 rows in 3 batches of 2 lengths by 'tokens', seed=0)"
    batches = made.dataset()
    assert int(batches.cardinality()) == 3
    assert int(made.stream().cardinality()) == tf.data.INFINITE_CARDINALITY
    assert batches.element_spec == ROWS.element_spec
    assert sorted(row["tokens"] for row in all_rows(batches)) == sorted(TOKENS)


def test_what_is_left_out_is_counted_and_differs_from_epoch_to_epoch() -> None:
    dropping = plan(drop_remainder=True)
    assert (dropping.num_batches, dropping.rows_left_out) == (2, 1)
    batches = dropping.dataset()
    assert batches.element_spec["tokens"].shape.as_list() == [2, None]
    assert batches.element_spec["label"].shape.as_list() == [2]
    assert md.describe(batches, source=ROWS).rows_lost == 1
    kept = [frozenset(dropping.row_numbers(epoch).values.numpy()) for epoch in range(30)]
    assert set(kept) == {frozenset(range(5)) - {lost} for lost in (1, 2, 4)}


def test_two_features_decide_together() -> None:
    lengths = {"source": [1, 2, 9, 8, 1], "target": [5, 1, 9, 2, 4]}
    rows = {
        name: tf.RaggedTensor.from_row_lengths(tf.ones([sum(of_name)]), of_name)
        for name, of_name in lengths.items()
    }
    made = plan(rows, ["source", "target"])
    assert made.buckets.features == ("source", "target")
    allowed = [tuple(bucket.lengths) for bucket in made.buckets.buckets]
    for batch in made.dataset().apply(md.ToDense(lengths=made.buckets.lengths)):
        assert (batch["source"].shape[1], batch["target"].shape[1]) in allowed


def test_rows_are_read_from_a_dataset_once() -> None:
    reads = tf.Variable(0)
    rows = ROWS.map(lambda block: block | {"reads": tf.fill([5], reads.assign_add(1))})
    made = plan(rows)
    for _ in range(2):
        assert {row["reads"] for row in all_rows(made.dataset())} == {1}


def test_a_dataset_can_be_read_many_times_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = _passes._seeds_of_all_passes()
    assert len(set(seeds.tolist())) == len(seeds) == _passes.MAX_PASSES
    monkeypatch.setattr(_passes, "_seeds_of_all_passes", lambda: seeds[:2])
    batches = plan().dataset()
    assert len(as_batches(batches)) == len(as_batches(batches)) == 3
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="BatchPlan: a dataset must be read at"
    ):
        as_batches(batches)


class Reader(keras.Model):  # type: ignore[misc]
    """Learns nothing, and notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[list[int]] = []

    def train_step(self, data: Any) -> dict[str, float]:
        self.read.append(data[0].numpy().tolist())
        return {"loss": 0.0}


NUMBERED = {
    "tokens": tf.RaggedTensor.from_row_lengths(tf.range(1, 37), [1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]),
    "number": tf.range(11),
}


def test_fit_reads_epoch_after_epoch() -> None:
    """Keras makes an iterator at the end of an epoch that it never reads: it must not count."""
    made, reader = plan(NUMBERED, batch_size=3), Reader()
    reader.compile(run_eagerly=True)
    reader.fit(made.dataset().map(lambda batch: (batch["number"],)), epochs=3, verbose=0)
    assert reader.read == [
        batch for epoch in range(3) for batch in made.row_numbers(epoch).to_list()
    ]
    resumed = Reader()
    resumed.compile(run_eagerly=True)
    batches = made.stream(1, 2).map(lambda batch: (batch["number"],))
    resumed.fit(batches, steps_per_epoch=made.num_batches, epochs=1, verbose=0)
    assert resumed.read == reader.read[made.num_batches + 2 :][: made.num_batches]


def test_replicas_share_each_row_and_fit_takes_one_step_a_batch() -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    made = plan(NUMBERED, batch_size=4, multiple_of=2)
    prepare = md.Chain(
        md.ToDense(lengths=made.buckets.lengths),
        md.FillRows(2),
        md.ToKeras(x=["tokens", "number", "row_mask"], y="tokens", sample_weight="tokens_mask"),
    )
    batches = prepare(made.dataset())
    distributed = strategy.experimental_distribute_dataset(batches)
    for epoch in range(2):
        read = []
        for x, _, _ in distributed:
            local = [
                strategy.experimental_local_results(x[name]) for name in ("number", "row_mask")
            ]
            pairs = zip(*(np.concatenate(parts) for parts in local), strict=True)
            read.append([number for number, is_row in pairs if is_row])
        assert read == made.row_numbers(epoch).to_list()
    with strategy.scope():
        tokens = keras.Input([None], dtype="int32", name="tokens")
        # No embedding: its gradients are gathered, and TensorFlow takes the collective operations
        # of all models of a process for the same ones: those of others here reduce.
        model = keras.Model(tokens, keras.layers.Dense(37)(keras.ops.one_hot(tokens, 37)))
        loss = md.losses.TokenMean(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.compile("sgd", loss)
    just_tokens = prepare(made.stream()).map(lambda x, y, weight: (x["tokens"], y, weight))
    model.fit(just_tokens, steps_per_epoch=made.num_batches, epochs=2, verbose=0)
    assert int(model.optimizer.iterations.numpy()) == 2 * made.num_batches
