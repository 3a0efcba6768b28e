"""BatchPlan: worked examples, Arrow columns, Keras and replicas, every refusal with its words."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data import _passes
from maskdata.data._column_hash import hash_columns
from maskdata.data._columns import column_of, gather
from maskdata.data._read_columns import read_columns
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


# Columns and what Arrow has.


def arrow_columns() -> dict[str, Any]:
    """Return columns of five rows, of every kind that Arrow and TensorFlow both have."""
    offsets = pa.array([0, 3, 4, 4, 6, 7], pa.int32())
    steps = np.arange(7)

    def lists(values: Any) -> Any:
        return pa.ListArray.from_arrays(offsets, values)

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(21, dtype=np.float32)), 3)
    matrix_rows = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(42, dtype=np.int32)), 3)
    nested = pa.LargeListArray.from_arrays(
        pa.array([0, 1, 1, 3, 4, 4, 6, 8]), pa.array(np.arange(8, dtype=np.int16))
    )
    return {
        "ids": lists(pa.array(steps * 2**40)),
        "bytes": lists(pa.array(steps, pa.uint8())),
        "halves": lists(pa.array(steps / 2, pa.float16())),
        "vectors": lists(vectors),
        "matrices": lists(pa.FixedSizeListArray.from_arrays(matrix_rows, 2)),
        "nested": lists(nested),
        "words": lists(pa.array([str(step) for step in steps])),
        "flags": lists(pa.array(steps % 2 == 0)),
        "number": pa.array(range(5)),
        "label": pa.array(list("aß日d ")),
        "embedding": vectors[:5],
    }


def in_a_file(columns: dict[str, Any], path: Path) -> Any:
    """Write the columns in chunks of three and two rows, and map the file."""
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def plain(column: Any) -> list[Any]:
    rows = gather(column, tf.range(5))
    values = rows.to_list() if isinstance(rows, tf.RaggedTensor) else rows.numpy().tolist()
    return [value.decode() if isinstance(value, bytes) else value for value in values]


@pytest.mark.parametrize("kind", list(arrow_columns()))
@pytest.mark.parametrize(
    "kept", ["in memory", "in a file", "in two files", "in chunks without rows", "in part"]
)
def test_arrow_columns_are_columns(kind: str, kept: str, tmp_path: Path) -> None:
    array = arrow_columns()[kind]
    expected = array.to_pylist()
    if kept == "in a file":
        array = in_a_file({kind: array}, tmp_path / "rows.arrow")[kind]
        assert array.num_chunks == 2
    elif kept == "in two files":
        parts = [
            in_a_file({kind: part}, tmp_path / f"{len(part)}.arrow")[kind]
            for part in (array[:2], array[2:])
        ]
        array = pa.chunked_array([chunk for part in parts for chunk in part.chunks])
    elif kept == "in chunks without rows":
        array = pa.chunked_array([array[:0], array[:2], array[2:2], array[2:]])
    elif kept == "in part":
        array = pa.concat_arrays([array[:2], array, array[:1]])[2:7]
    if kind == "words":
        expected = [[word.encode() for word in row] for row in expected]
    (column,) = read_columns("who", {kind: array}, []).values()
    assert plain(column) == expected
    rows = gather(column, tf.range(5))
    assert rows.dtype == gather(column, tf.constant([3, 0])).dtype
    assert hash_columns({"f": column}) == hash_columns({"f": column_of(rows)})


@pytest.mark.parametrize("kind", ["ids", "bytes", "halves", "vectors", "matrices", "nested"])
def test_numbers_in_a_mapped_file_are_not_copied(kind: str, tmp_path: Path) -> None:
    table = in_a_file(arrow_columns(), tmp_path / "rows.arrow")
    values = read_columns("who", {kind: table[kind]}, [kind])[kind]
    while not isinstance(values, tf.Tensor):
        values = values.values
    file = table[kind].chunks[0].buffers()[1]
    while file.parent is not None:
        file = file.parent
    assert file.size == (tmp_path / "rows.arrow").stat().st_size
    assert np.asarray(values).__array_interface__["data"][0] == file.address


def test_memory_that_is_not_aligned_is_copied() -> None:
    memory = np.arange(100)
    at_64 = -memory.__array_interface__["data"][0] % 64
    for shift in range(0, 64, 8):
        buffer = pa.py_buffer(memory.view(np.uint8)[at_64 + shift :][:80])
        values = pa.Array.from_buffers(pa.int64(), 10, [None, buffer])
        rows = {"f": pa.ListArray.from_arrays(pa.array([0, 3, 10], pa.int32()), values)}
        (column,) = read_columns("who", rows, ["f"]).values()
        assert gather(column, [1, 0]).to_list() == [values.to_pylist()[3:], values.to_pylist()[:3]]
        shared = np.asarray(column.values).__array_interface__["data"][0] == buffer.address
        assert shared == (shift == 0)


def test_arrow_rows_may_all_be_empty() -> None:
    for array in (
        pa.array([[], []], pa.list_(pa.float32())),
        pa.chunked_array([[[], []]], pa.list_(pa.string())),
    ):
        (column,) = read_columns("who", {"f": array}, ["f"]).values()
        assert gather(column, [1, 0]).to_list() == [[], []]
    none = pa.chunked_array([], pa.list_(pa.int8()))
    with pytest.raises(ValueError, match="who: rows must have at least one row"):
        read_columns("who", {"f": none}, ["f"])


def test_a_plan_of_a_mapped_file(tmp_path: Path) -> None:
    table = in_a_file(arrow_columns(), tmp_path / "rows.arrow")
    made = plan(dict(zip(table.column_names, table.columns, strict=True)), "vectors")
    rows = all_rows(made.dataset())
    assert [row["number"] for row in rows] == made.row_numbers(0).values.numpy().tolist()
    expected = {row["number"]: row for row in table.to_pylist()}
    for row in rows:
        for name in ("ids", "vectors", "nested", "flags", "embedding"):
            assert row[name] == expected[row["number"]][name]


# Keras and replicas.


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


# Refusals.

MAPPING = {"tokens": tf.ragged.constant(TOKENS), "label": tf.range(5)}
SINGLE_ROWS = tf.data.Dataset.range(3).map(lambda n: {"tokens": tf.range(n), "n": n})
UNEVEN = ROWS.map(lambda block: block | {"label": block["label"][1:]})
NO_ROWS = {"tokens": MAPPING["tokens"][:0]}
STATE = plan().state(epoch=1, step=2)

REFUSALS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: plan(features=3), TypeError, "BatchPlan: features must list feature names, got 3."),
    (lambda: plan(features=[]), TypeError, "BatchPlan: features must list feature names, got []."),
    (lambda: plan(features=["tokens", "tokens"]), ValueError, "BatchPlan: features must name each feature once"),
    (lambda: plan(seed=-1), ValueError, "BatchPlan: seed must be at least 0, got -1."),
    (lambda: plan(seed=2**63), ValueError, "BatchPlan: seed must be at most 9223372036854775807, got"),
    (lambda: plan(seed=None), TypeError, "BatchPlan: seed must be an int, got None."),
    (lambda: plan(drop_remainder=1), TypeError, "BatchPlan: drop_remainder must be True or False, got 1."),
    (lambda: plan([[1], [2]]), TypeError, "BatchPlan: rows must be a dataset of blocks or a mapping of names to features, got [[1], [2]]. Make a"),
    (lambda: plan({}), TypeError, "BatchPlan: rows must be a dataset of blocks or a mapping of names to features, got {}."),
    (lambda: plan({"tokens": TOKENS}), TypeError, "BatchPlan: 'tokens' must be a tensor, a ragged tensor, an array or an Arrow array of rows, got [["),
    (lambda: plan(MAPPING | {"n": np.array(3)}), TypeError, "BatchPlan: 'n' must be a tensor, a ragged tensor, an array or"),
    (lambda: plan(MAPPING | {3: MAPPING["label"]}), TypeError, "BatchPlan: each name of rows must be the name of a feature, got 3."),
    (lambda: plan(NO_ROWS), ValueError, "BatchPlan: rows must have at least one row, got {'tokens'"),
    (lambda: plan(ROWS.take(0)), ValueError, "BatchPlan: rows must have at least one row, got <_Take"),
    (lambda: plan(ROWS.repeat()), ValueError, "BatchPlan: the dataset must have an end, got <_Repeat"),
    (lambda: plan(SINGLE_ROWS), ValueError, "BatchPlan: elements must be batches of rows, but feature 'n' has no row axis"),
    (lambda: plan(features="token"), ValueError, "BatchPlan: no feature 'token'; the element has ['label', 'tokens']. Did you mean 'tokens'?"),
    (lambda: plan(MAPPING, "token"), ValueError, "BatchPlan: no feature 'token'; the element has ['label', 'tokens']. Did you mean 'tokens'?"),
    (lambda: plan(features="label"), ValueError, "BatchPlan: feature 'label' must be ragged [B, (T), ...], got TensorSpec"),
    (lambda: plan(MAPPING, ["tokens", "label"]), ValueError, "BatchPlan: feature 'label' must be ragged [N, (T), ...], got <tf.Tensor"),
    (lambda: plan(MAPPING | {"label": tf.range(4)}), ValueError, "BatchPlan: all features must have the same number of rows, got {'tokens': 5, 'label': 4}. Check"),
    (lambda: plan(UNEVEN), ValueError, "BatchPlan: all features must have the same number of rows, got {"),
    (lambda: plan(num_buckets=9), ValueError, "plan_buckets: num_buckets must be at most 3, the number of different lengths, got 9."),
    (lambda: plan(batch_size=None, max_tokens=3), ValueError, "plan_buckets: max_tokens must be at least 4, the cost of row 3 (4 steps), got 3."),
    (lambda: plan(batch_size=None), ValueError, "plan_buckets: one of max_tokens and batch_size must be given, got"),
    (lambda: plan(batch_size=9, drop_remainder=True), ValueError, "BatchPlan: some bucket must have a full batch, got BucketPlan("),
    (lambda: plan({"tokens": pa.array([[1], None])}), ValueError, "BatchPlan: column 'tokens' must have no nulls, got 'rows [1]'. Fill them"),
    (lambda: plan({"tokens": pa.array([[1], [None, 2]])}), ValueError, "BatchPlan: column 'tokens' must have no nulls, got 'rows [1]'."),
    (lambda: plan({"tokens": pa.array([[{"a": 1}], []])}), TypeError, "BatchPlan: column 'tokens' must hold numbers, bools, strings, or lists of them, got 'list<item: struct<a: int64>>'. Cast"),
    (lambda: plan({"tokens": pa.array([[], []])}), TypeError, "BatchPlan: column 'tokens' must hold numbers, bools, strings, or lists of them, got 'list<item: null>'."),
    (lambda: plan({"tokens": pa.array([[[1, None]]], pa.list_(pa.list_(pa.int8(), 2)))}), ValueError, "BatchPlan: column 'tokens' must have no nulls, got 'rows [0]'."),
    (lambda: plan({"tokens": pa.table({"a": [1]})}), TypeError, "BatchPlan: 'tokens' must be an Arrow array, got <class 'pyarrow.lib.Table'>. Of a table, pass"),
    (lambda: plan().dataset(-1), ValueError, "BatchPlan.dataset: epoch must be at least 0, got -1."),
    (lambda: plan().dataset(2**31), ValueError, "BatchPlan.dataset: epoch must be at most 2147483647, got 2147483648."),
    (lambda: plan().row_numbers(0.5), TypeError, "BatchPlan.row_numbers: epoch must be an int, got 0.5."),
    (lambda: plan().stream(0, 4), ValueError, "BatchPlan.stream: step must be at most 3, got 4."),
    (lambda: plan().state(1.0, 0), TypeError, "BatchPlan.state: epoch must be an int, got 1.0."),
    (lambda: plan().state(0, -1), ValueError, "BatchPlan.state: step must be at least 0, got -1."),
    (lambda: plan().resume("{}"), TypeError, "BatchPlan.resume: state must be what `state` returned, got '{}'. Pass what was saved, or json.loads of it."),
    (lambda: plan().resume({"epoch": 1, "step": 2}), TypeError, "BatchPlan.resume: state must be what `state` returned, got {'epoch': 1, 'step': 2}."),
    (lambda: plan().resume(STATE | {"version": 2}), ValueError, "BatchPlan.resume: state must be of version 1, got 2."),
    (lambda: plan().resume(STATE | {"step": 4}), ValueError, "BatchPlan.resume: step must be at most 3, got 4."),
    (lambda: plan().resume(STATE | {"epoch": "1"}), TypeError, "BatchPlan.resume: epoch must be an int, got '1'."),
]  # fmt: skip


@pytest.mark.parametrize(("refused", "error", "words"), REFUSALS, ids=[w for _, _, w in REFUSALS])
def test_refusals(refused: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        refused()


WORDS = {"tokens": [["a", "b", "c"], ["d"], ["e"], ["f", "a", "b", "c"], ["d"]]}


def looked_up(tokens: str) -> tf.data.Dataset:
    return md.from_rows(WORDS).apply(md.Lookup("tokens", md.Vocabulary(list(tokens))))


def test_the_state_of_other_data_is_refused() -> None:
    same, mine = plan(looked_up("abcdef")), plan(looked_up("abcdef"))
    mine.resume(same.state(1, 0))
    for rows in (
        looked_up("abcdfe"),
        looked_up("abcde"),
        looked_up("abcdef").map(lambda block: block | {"copy": block["tokens"]}),
        looked_up("abcdef").map(lambda block: {"tokens": tf.cast(block["tokens"], tf.int32)}),
        looked_up("abcdef").map(lambda block: {"tokens": block["tokens"][::-1]}),
    ):
        with pytest.raises(
            ValueError, match=r"same data, '\w{64}', got '\w{64}'\. Build the plan of"
        ):
            mine.resume(plan(rows).state(1, 0))


def test_the_state_of_other_settings_is_refused() -> None:
    mine = plan()
    for other in ({"seed": 1}, {"batch_size": 1}, {"num_buckets": 3}, {"drop_remainder": True}):
        with pytest.raises(
            ValueError, match=r"same order, '\w{64}', got '\w{64}'\. Build the plan with"
        ):
            mine.resume(plan(**other).state(1, 0))
