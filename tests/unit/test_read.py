"""read_text and from_rows: text and rows in memory to blocks."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import maskdata as md
from maskdata.data._blocks import slice_rows
from tests.strategies import Element, all_rows, as_batches, elements


def lines(dataset: tf.data.Dataset, feature: str = "text") -> list[list[bytes]]:
    return [block[feature].numpy().tolist() for block in dataset]


def test_lines_of_several_files_in_blocks_that_span_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("é\n\n日本\r\n".encode())
    (tmp_path / "b.txt").write_bytes(b"last, without line end")
    dataset = md.read_text(
        [tmp_path / "a.txt", str(tmp_path / "b.txt")], block_size=3, feature="line"
    )
    assert lines(dataset, "line") == [
        ["é".encode(), b"", "日本".encode()],
        [b"last, without line end"],
    ]


def test_empty_and_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert lines(md.read_text(tmp_path / "empty.txt")) == []
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"to\nbe\n"))
    assert lines(md.read_text(tmp_path / "a.gz", compression_type="GZIP")) == [[b"to", b"be"]]


@given(elements(), st.integers(1, 3), st.data())
def test_slices_of_rows_are_those_of_tensorflow(
    rows: Element, length: int, data: st.DataObject
) -> None:
    uniform = {
        f"{name} in {length}": tf.RaggedTensor.from_uniform_row_length(
            feature, tf.constant(length, feature.row_splits.dtype)
        )
        for name, feature in rows.items()
        if isinstance(feature, tf.RaggedTensor) and feature.nrows() % length == 0
    }
    for name, feature in {**rows, **uniform}.items():
        num_rows = int(feature.shape[0])
        start = data.draw(st.integers(0, num_rows), f"start of {name}")
        limit = data.draw(st.integers(start, num_rows + 2), f"limit of {name}")
        found = slice_rows(feature, tf.constant(start, tf.int64), tf.constant(limit, tf.int64))
        expected = feature[start:limit]
        assert tf.type_spec_from_value(found) == tf.type_spec_from_value(expected)
        for mine, theirs in zip(
            *(tf.nest.flatten(rows, expand_composites=True) for rows in (found, expected)),
            strict=True,
        ):
            np.testing.assert_array_equal(mine, theirs)


def test_rows_of_every_kind() -> None:
    dataset = md.from_rows(
        {
            "ids": [[1, 2], [], [3]],
            "nested": [[["a"], []], [["b", "c"]], []],
            "columns": [np.ones([2, 3]), np.zeros([0, 3]), np.ones([1, 3])],
            "arrays": [np.array([1, 2]), np.array([3]), np.array([], np.int64)],
            "ragged": tf.ragged.constant([[1.0], [], []]),
            "matrix": np.eye(3),
            "label": ["x", "ß", ""],
        },
        block_size=2,
    )
    assert int(dataset.cardinality()) == 2
    assert [len(batch) for batch in as_batches(dataset)] == [2, 1]
    first, second, third = all_rows(dataset)
    assert first == {
        "ids": [1, 2],
        "nested": [[b"a"], []],
        "columns": [[1, 1, 1], [1, 1, 1]],
        "arrays": [1, 2],
        "ragged": [1.0],
        "matrix": [1, 0, 0],
        "label": b"x",
    }
    assert (second["ids"], second["nested"], second["columns"]) == ([], [[b"b", b"c"]], [])
    assert (third["ids"], third["nested"], third["arrays"]) == ([3], [], [])
    assert dataset.element_spec["columns"].shape.as_list() == [None, None, 3]


def test_no_rows_at_all() -> None:
    dataset = md.from_rows({"ids": tf.RaggedTensor.from_row_lengths(tf.zeros([0]), [])})
    assert as_batches(dataset) == []
    assert as_batches(dataset.apply(md.PaddedBatch(4))) == []


@pytest.mark.parametrize("block_size", [1, 2, 3, 4, 100])
def test_blocks_hold_the_rows_in_order(block_size: int) -> None:
    dataset = md.from_rows({"n": [4, 5, 6]}, block_size=block_size)
    assert [row["n"] for row in all_rows(dataset)] == [4, 5, 6]
