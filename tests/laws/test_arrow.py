"""Rows in tables, in Parquet files and in JSON lines are read as they are: laws of the Arrow readers."""

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import maskdata as md
from maskdata.data.arrow._types import type_of_spec
from tests.strategies import FIVE_ROWS, Element, Feed, all_kinds, all_rows, as_rows, cut, cuts

Read = Callable[[pa.Table, int, Path], tf.data.Dataset]


@functools.cache
def schema() -> pa.Schema:
    spec = Feed(lambda rows: rows).dataset.element_spec
    return pa.schema([(name, type_of_spec("test", name, found)) for name, found in spec.items()])


def of_table(table: pa.Table, block_size: int, _: Path) -> tf.data.Dataset:
    return md.from_arrow(table, block_size=block_size)


def of_parquet(table: pa.Table, block_size: int, directory: Path) -> tf.data.Dataset:
    pq.write_table(table, directory / "rows.parquet", row_group_size=3)
    return md.read_parquet(directory / "rows.parquet", block_size=block_size)


def of_json_lines(table: pa.Table, block_size: int, directory: Path) -> tf.data.Dataset:
    lines = [json.dumps(row) + "\n" for row in table.to_pylist()]
    (directory / "rows.jsonl").write_text("".join(lines))
    features = Feed(lambda rows: rows).dataset.element_spec
    return md.read_jsonl(directory / "rows.jsonl", features=features, block_size=block_size)


READERS = {"from_arrow": of_table, "read_parquet": of_parquet, "read_jsonl": of_json_lines}


def check_all_rows(read: Read, element: Element, bounds: list[int], block_size: int) -> None:
    """Rows in chunks cut at `bounds` must come out in their order, in blocks of this size."""
    chunks = [pa.Table.from_pylist(as_rows(part), schema()) for part in cut(element, bounds)]
    with tempfile.TemporaryDirectory() as directory:
        blocks = read(pa.concat_tables(chunks), block_size, Path(directory))
        assert all_rows(blocks) == as_rows(element)
        sizes = [int(block["number"].shape[0]) for block in blocks]
    assert all(size == block_size for size in sizes[:-1])


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=4)
@given(st.data(), all_kinds, st.integers(1, 5))
def test_every_row_is_read(reader: str, data: Any, element: Element, block_size: int) -> None:
    bounds = data.draw(cuts(int(element["number"].shape[0])))
    check_all_rows(READERS[reader], element, bounds, block_size)


def test_the_law_catches_a_reader_that_loses_a_chunk() -> None:
    def losing(table: pa.Table, block_size: int, directory: Path) -> tf.data.Dataset:
        return of_table(table.slice(1), block_size, directory)

    with pytest.raises(AssertionError):
        check_all_rows(losing, FIVE_ROWS, [0, 5], 2)
