"""write_tfrecord and read_manifest: what stands in the files, all or nothing, and the refusals."""

import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from tests.strategies import all_rows

ROWS = md.from_rows({"tokens": [["to", "be"], [], ["or"]], "label": [0, 1, 2]}, block_size=2)


def examples(path: Path) -> list[Any]:
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return [tf.train.Example.FromString(record).features.feature for record in records]


def test_any_reader_of_examples_finds_the_rows(tmp_path: Path) -> None:
    rows = {
        "words": [["é", ""], []],
        "columns": [np.array([[1.5, 2.0]], np.float32), np.zeros([0, 2], np.float32)],
        "nested": [[[1, 2], [], [-3]], []],
        "flag": [True, False],
        "half": tf.constant([0.5, np.inf], tf.bfloat16),
        "double": np.array([0.1, np.nan]),
    }
    manifest = md.write_tfrecord(md.from_rows(rows), tmp_path / "rows", shards=1)
    first, second = examples(tmp_path / "rows" / manifest.shards[0].file)
    assert list(first["words"].bytes_list.value) == ["é".encode(), b""]
    assert list(first["columns"].float_list.value) == [1.5, 2.0]
    assert list(first["nested/ragged_flat_values"].int64_list.value) == [1, 2, -3]
    assert list(first["nested/ragged_row_lengths_0"].int64_list.value) == [2, 0, 1]
    assert list(first["flag"].int64_list.value) == [1]
    assert list(first["half"].float_list.value) == [0.5]
    assert list(first["double"].int64_list.value) == [int(np.float64(0.1).view(np.int64))]
    assert second["words"].WhichOneof("kind") == "bytes_list"
    assert not second["words"].bytes_list.value


EVERY_DTYPE = {
    dtype: tf.constant(values, dtype)
    for dtype, values in {
        tf.int8: [-128, 127],
        tf.uint8: [0, 255],
        tf.int16: [-(2**15), 1],
        tf.uint16: [0, 2**16 - 1],
        tf.int32: [-(2**31), 1],
        tf.uint32: [0, 2**32 - 1],
        tf.int64: [-(2**63), 2**63 - 1],
        tf.uint64: [0, 2**64 - 1],
        tf.float16: [1e-7, -65504],
        tf.bfloat16: [1e38, -0.0],
        tf.float32: [1e-45, np.inf],
        tf.float64: [5e-324, 0.1],
        tf.bool: [True, False],
        tf.string: [b"\xff\x00", b""],
    }.items()
}


def test_every_dtype_comes_back_bit_by_bit(tmp_path: Path) -> None:
    rows = {dtype.name: values for dtype, values in EVERY_DTYPE.items()}
    md.write_tfrecord(md.from_rows(rows), tmp_path / "rows", shards=1)
    block = md.read_tfrecord(tmp_path / "rows").get_single_element()
    for name, values in rows.items():
        assert block[name].dtype == values.dtype
        assert block[name].numpy().tobytes() == values.numpy().tobytes() or name == "string"
    assert block["string"].numpy().tolist() == [b"\xff\x00", b""]


def test_one_long_row_among_short_ones(tmp_path: Path) -> None:
    lengths = [1] * 50 + [2_000_000] + [2] * 50
    ids = tf.RaggedTensor.from_row_lengths(tf.range(sum(lengths)) % 100, lengths)
    manifest = md.write_tfrecord(md.from_rows({"ids": ids}), tmp_path / "rows", shards=2)
    assert manifest.row_lengths["ids"].tolist() == lengths
    again = md.read_tfrecord(tmp_path / "rows", block_size=1000).get_single_element()["ids"]
    expected = tf.concat([ids[0::2], ids[1::2]], axis=0)
    # The files take turns, and the long row fills several pages of the first.
    assert sorted(again.row_lengths().numpy()) == sorted(lengths)
    assert int(tf.reduce_sum(again.values)) == int(tf.reduce_sum(expected.values))


def test_the_manifest_tells_what_there_is(tmp_path: Path) -> None:
    written = md.write_tfrecord(ROWS, tmp_path / "a" / "rows", shards=2)
    assert left_in(tmp_path / "a") == ["rows"]
    assert written.num_rows == 3
    assert written.element_spec == ROWS.element_spec
    assert os.fspath(tmp_path / "a" / "rows") == written.directory
    for shard in written.shards:
        path = tmp_path / "a" / "rows" / shard.file
        assert shard.num_bytes == path.stat().st_size
    content = json.loads((tmp_path / "a" / "rows" / "manifest.json").read_text())
    assert content["version"] == 1
    assert list(content["features"]) == ["tokens", "label"]
    plan = md.plan_buckets(written.row_lengths, 2, batch_size=2)
    assert plan.feature == "tokens"


# All or nothing.


def left_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail_late(block: dict[str, Any]) -> dict[str, Any]:
        check = tf.debugging.assert_less(block["label"], 2, "too late")
        with tf.control_dependencies([check]):
            return block | {"label": tf.identity(block["label"])}

    with pytest.raises(tf.errors.InvalidArgumentError, match="too late"):
        md.write_tfrecord(ROWS.map(fail_late), tmp_path / "rows", shards=2)
    assert left_in(tmp_path) == []
    md.write_tfrecord(ROWS, tmp_path / "rows", shards=2)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    rows = md.from_rows({"text": tf.fill([3000], "x" * 1000)}, block_size=100)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        with pytest.raises(tf.errors.OpError, match="too large"):
            md.write_tfrecord(rows, tmp_path / "rows", shards=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert left_in(tmp_path) == []


def test_a_file_that_the_disk_did_not_take_whole_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful:
        def __init__(self, path: str) -> None:
            Path(path).touch()

        def __enter__(self) -> "Forgetful":
            return self

        def __exit__(self, *_: object) -> None: ...

        def write(self, record: bytes) -> None: ...

        def flush(self) -> None: ...

    monkeypatch.setattr(tf.io, "TFRecordWriter", Forgetful)
    with pytest.raises(OSError, match=r"must have \d+ bytes, got 0. Is the disk full"):
        md.write_tfrecord(ROWS, tmp_path / "rows", shards=1)
    assert left_in(tmp_path) == []


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    refused = []

    def rows() -> Iterator[dict[str, Any]]:
        yield {"label": [1, 2]}
        with pytest.raises(FileExistsError, match="no one else may write") as error:
            md.write_tfrecord(ROWS, tmp_path / "rows", shards=1)
        refused.append(str(error.value))
        yield {"label": [3]}

    dataset = tf.data.Dataset.from_generator(
        rows, output_signature={"label": tf.TensorSpec([None], tf.int64)}
    )
    md.write_tfrecord(dataset, tmp_path / "rows", shards=1)
    assert [row["label"] for row in all_rows(md.read_tfrecord(tmp_path / "rows"))] == [1, 2, 3]
    assert len(refused) == 1


def test_what_a_killed_writer_left_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "rows.unfinished").mkdir()
    with pytest.raises(FileExistsError, match=r"rows.unfinished.* one was killed: delete"):
        md.write_tfrecord(ROWS, tmp_path / "rows", shards=1)
    assert left_in(tmp_path) == ["rows.unfinished"]
    with pytest.raises(FileNotFoundError, match="must be an existing file"):
        md.read_tfrecord(tmp_path / "rows")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    md.write_tfrecord(ROWS, tmp_path / "empty", shards=1)
    for name in ("empty", "a file"):
        (tmp_path / "a file").touch()
        with pytest.raises(FileExistsError, match="directory must be new, or empty"):
            md.write_tfrecord(ROWS, tmp_path / name, shards=1)
    assert left_in(tmp_path) == ["a file", "empty"]


# Refusals.


@pytest.mark.parametrize(
    ("rows", "arguments", "error", "words"),
    [
        (ROWS, {"shards": 0}, ValueError, "shards must be at least 1"),
        (ROWS, {"shards": 1.0}, TypeError, "shards must be an int"),
        (ROWS, {"directory": 3}, TypeError, "directory must be a path"),
        (ROWS, {"directory": "gs://bucket/rows"}, ValueError, "must be a local path"),
        (ROWS.repeat(), {}, ValueError, "the dataset must have an end"),
        ([1], {}, TypeError, "must be applied to a tf.data.Dataset"),
        (tf.data.Dataset.from_tensors({"x": 1}), {}, ValueError, "has no row axis"),
        (md.from_rows({"x": np.ones([2, 0])}), {}, ValueError, "inner dimensions of at least 1"),
        (md.from_rows({"x": np.ones([2], np.complex64)}), {}, TypeError, "must hold numbers"),
    ],
)
def test_refusals(
    tmp_path: Path, rows: Any, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"write_tfrecord: .*{words}"):
        md.write_tfrecord(rows, **({"directory": tmp_path / "rows", "shards": 1} | arguments))
    assert left_in(tmp_path) == []


def test_features_must_not_share_a_key(tmp_path: Path) -> None:
    rows = md.from_rows({"a": [[[1]]], "a/ragged_flat_values": [1]})
    with pytest.raises(ValueError, match="must not share the key 'a/ragged_flat_values'"):
        md.write_tfrecord(rows, tmp_path / "rows", shards=1)


def test_features_must_have_the_same_rows(tmp_path: Path) -> None:
    blocks = tf.data.Dataset.range(1).map(lambda i: {"a": tf.range(i + 2), "b": tf.range(i + 1)})
    with pytest.raises(tf.errors.InvalidArgumentError, match="the same number of rows"):
        md.write_tfrecord(blocks, tmp_path / "rows", shards=1)
