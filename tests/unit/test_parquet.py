"""read_parquet and from_arrow: columns of every kind, blocks of every size, nulls with their rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

import maskdata as md
from tests.strategies import all_rows, as_batches

COLUMNS: dict[str, Any] = {
    "ids": pa.array([[1, 2], [], [3], []], pa.list_(pa.int64())),
    "large": pa.array([[1], [2, 3], [], []], pa.large_list(pa.int32())),
    "nested": pa.array([[[1], []], [], [[2, 3]], [[]]]),
    "words": pa.array([["é", ""], [], ["b"], []]),
    "columns": pa.array([[[1.0, 2.0]], [], [[3.0, 4.0]], []], pa.list_(pa.list_(pa.float32(), 2))),
    "matrix": pa.array([[[1], [2]]] * 4, pa.list_(pa.list_(pa.uint8(), 1), 2)),
    "label": pa.array(["x", "y", "x", "z"]).dictionary_encode(),
    "bytes": pa.array([b"\xff", b"", b"a", b"b"], pa.large_binary()),
    "flag": pa.array([True, False, True, True]),
    "half": pa.array(np.array([0.5, 1, 2, 3], np.float16)),
    "double": pa.array([0.1, 0.2, 0.3, float("nan")]),
}
TABLE = pa.table(COLUMNS)
SPEC = {
    "ids": tf.RaggedTensorSpec([None, None], tf.int64),
    "large": tf.RaggedTensorSpec([None, None], tf.int32, 1, tf.int64),
    "nested": tf.RaggedTensorSpec([None, None, None], tf.int64),
    "words": tf.RaggedTensorSpec([None, None], tf.string),
    "columns": tf.RaggedTensorSpec([None, None, 2], tf.float32, ragged_rank=1),
    "matrix": tf.TensorSpec([None, 2, 1], tf.uint8),
    "label": tf.TensorSpec([None], tf.string),
    "bytes": tf.TensorSpec([None], tf.string),
    "flag": tf.TensorSpec([None], tf.bool),
    "half": tf.TensorSpec([None], tf.float16),
    "double": tf.TensorSpec([None], tf.float64),
}


def expected(table: pa.Table) -> list[Any]:
    def as_bytes(value: Any) -> Any:
        if isinstance(value, list):
            return [as_bytes(entry) for entry in value]
        return value.encode() if isinstance(value, str) else value

    return [{name: as_bytes(row[name]) for name in row} for row in table.to_pylist()]


def same(rows: list[Any], others: list[Any]) -> bool:
    return repr(rows) == repr(others)  # NaN is not equal to itself


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pq.write_table(TABLE, tmp_path / "some.parquet", row_group_size=3)
    return tmp_path / "some.parquet"


@pytest.mark.parametrize("block_size", [1, 3, 100])
def test_columns_of_every_kind(path: Path, block_size: int) -> None:
    dataset = md.read_parquet([path, path], block_size=block_size)
    assert dataset.element_spec == SPEC
    blocks = as_batches(dataset)
    assert int(dataset.cardinality()) == len(blocks)
    assert {len(block) for block in blocks[:-1]} <= {block_size}
    assert same([row for block in blocks for row in block], expected(TABLE) * 2)


def test_tables_and_slices_of_them() -> None:
    assert same(all_rows(md.from_arrow(TABLE)), expected(TABLE))
    chunked = pa.concat_tables([TABLE.slice(1, 2), TABLE.slice(0, 0), TABLE.slice(3)])
    assert same(all_rows(md.from_arrow(chunked, block_size=2)), expected(TABLE.slice(1)))
    assert all_rows(md.from_arrow(TABLE.slice(0, 0))) == []
    assert list(md.from_arrow(TABLE, features=["flag", "ids"]).element_spec) == ["flag", "ids"]


class HuggingFaceLike:
    """What `from_arrow` uses of a `datasets.Dataset`, whose rows are chosen by indices.

    The library itself is not installed here.
    """

    def __init__(self, table: pa.Table, indices: list[int], kind: str | None = None) -> None:
        self.data, self.indices, self.kind = table, indices, kind
        self.num_rows = len(indices)

    def with_format(self, kind: str) -> "HuggingFaceLike":
        return HuggingFaceLike(self.data, self.indices, kind)

    def __getitem__(self, rows: slice) -> pa.Table:
        assert self.kind == "arrow"
        return self.data.take(pa.array(self.indices[rows], pa.int64()))


def test_a_hugging_face_dataset_gives_the_rows_that_it_has_now() -> None:
    dataset = md.from_arrow(HuggingFaceLike(TABLE, [3, 0, 2]), block_size=2)
    assert int(dataset.cardinality()) == 2
    assert same(all_rows(dataset), [expected(TABLE)[i] for i in (3, 0, 2)])


def test_blocks_own_their_memory(path: Path) -> None:
    with pa.memory_map(str(path)) as source:
        block = next(iter(md.from_arrow(pq.read_table(source), features=["ids"])))
    assert block["ids"].to_list() == [[1, 2], [], [3], []]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, None, 2]),
        pa.array([[1], None, [2]]),
        pa.array([[1], [2, None], [3]]),
        pa.array([[[1]], [[], [None]], []]),
        pa.array([[1, 2], [None, 1], [1, 1]], pa.list_(pa.int64(), 2)),
        pa.array(["a", None, "b"]).dictionary_encode(),
    ],
)
def test_nulls_are_refused_with_their_rows(tmp_path: Path, column: Any) -> None:
    table = pa.concat_tables([pa.table({"x": column.slice(0, 1)}), pa.table({"x": column})])
    pq.write_table(table, tmp_path / "nulls.parquet")
    words = r"column 'x' must have no nulls in .*nulls.parquet, got 'rows \[2\]'"
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        list(md.read_parquet(tmp_path / "nulls.parquet", block_size=1))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"must have no nulls, got 'rows \[2\]"
    ):
        list(md.from_arrow(table))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"features": ["idz"]}, ValueError, "no feature 'idz'.*Did you mean 'ids'"),
        ({"features": "ids"}, TypeError, "features must list feature names"),
        ({"block_size": 0}, ValueError, "block_size must be at least 1"),
        ({"files": []}, ValueError, "files must name at least one file"),
        ({"files": "none.parquet"}, FileNotFoundError, "each of files must be an existing file"),
    ],
)
def test_refusals(
    path: Path, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"read_parquet: .*{words}"):
        md.read_parquet(**({"files": path} | arguments))


def test_refusals_of_content(path: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no Parquet")
    with pytest.raises(ValueError, match="must be a Parquet file"):
        md.read_parquet(tmp_path / "text")
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"ids": [1]}), other)
    with pytest.raises(TypeError, match=r"other.parquet must have the columns of .*some.parquet"):
        md.read_parquet([path, other], features=["ids"])
    with pytest.raises(TypeError, match=r"column 'day' must hold numbers.*timestamp"):
        md.from_arrow(pa.table({"day": pa.array([0], pa.timestamp("s"))}))
    with pytest.raises(TypeError, match=r"must hold numbers.*fixed_size_list<item: list<"):
        md.from_arrow(pa.table({"x": pa.array([[[1]]], pa.list_(pa.list_(pa.int64()), 1))}))
    with pytest.raises(ValueError, match="each column must have a name of its own"):
        md.from_arrow(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]))
    splits = type("DatasetDict", (dict,), {"num_rows": {"train": 1}, "with_format": None})
    for rows in ({"x": [1]}, splits()):
        with pytest.raises(TypeError, match=r"rows must be a pyarrow.Table or a datasets.Dataset"):
            md.from_arrow(rows)


def test_without_pyarrow_the_way_to_get_it_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"needs pyarrow.*pip install 'maskdata\[arrow\]'"):
        md.read_parquet(path)


def test_a_table_becomes_files_of_records(tmp_path: Path) -> None:
    md.write_tfrecord(md.from_arrow(TABLE), tmp_path / "rows", shards=1)
    assert same(all_rows(md.read_tfrecord(tmp_path / "rows")), expected(TABLE))
