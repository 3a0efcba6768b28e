"""Arrow arrays as columns of a plan: of every kind, in memory and in mapped files."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data._column_hash import hash_columns
from maskdata.data._columns import column_of, gather
from maskdata.data._read_columns import read_columns
from tests.strategies import all_rows


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
    columns = dict(zip(table.column_names, table.columns, strict=True))
    made = md.BatchPlan(columns, "vectors", num_buckets=2, batch_size=2, seed=0)
    rows = all_rows(made.dataset())
    assert [row["number"] for row in rows] == made.row_numbers(0).values.numpy().tolist()
    expected = {row["number"]: row for row in table.to_pylist()}
    for row in rows:
        for name in ("ids", "vectors", "nested", "flags", "embedding"):
            assert row[name] == expected[row["number"]][name]
