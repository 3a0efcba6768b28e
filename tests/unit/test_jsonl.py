"""read_jsonl: types that are inferred or told, blocks of every size, errors that name the line."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data.arrow import _json_lines
from tests.strategies import all_rows, as_batches

GOOD = '{"ids": [1, 2], "name": "é"}'
ROW = {"ids": [1, 2], "name": "é".encode()}
IDS = tf.RaggedTensorSpec([None, None], tf.int64)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_types_are_those_of_the_first_lines(tmp_path: Path) -> None:
    line = '{"n": 1, "x": 0.1, "flag": true, "day": "2020-01-01", "deep": [[1, 2], []], "s": ["a"]}'
    dataset = md.read_jsonl(write(tmp_path / "some.jsonl", line))
    assert dataset.element_spec == {
        "n": tf.TensorSpec([None], tf.int64),
        "x": tf.TensorSpec([None], tf.float64),
        "flag": tf.TensorSpec([None], tf.bool),
        "day": tf.TensorSpec([None], tf.string),
        "deep": tf.RaggedTensorSpec([None, None, None], tf.int64),
        "s": tf.RaggedTensorSpec([None, None], tf.string),
    }
    assert all_rows(dataset) == [
        {"n": 1, "x": 0.1, "flag": True, "day": b"2020-01-01", "deep": [[1, 2], []], "s": [b"a"]}
    ]


def test_types_that_are_told(tmp_path: Path) -> None:
    path = write(
        tmp_path / "some.jsonl",
        '{"c": [[1, 2]], "v": [3, 4], "other": 0}',
        '{"v": [5, 6], "c": []}',
    )
    features = {
        "c": tf.RaggedTensorSpec([None, None, 2], tf.float32, ragged_rank=1),
        "v": tf.TensorSpec([None, 2], tf.int32),
    }
    dataset = md.read_jsonl(path, features=features)
    assert dataset.element_spec == features
    assert all_rows(dataset) == [{"c": [[1, 2]], "v": [3, 4]}, {"c": [], "v": [5, 6]}]


@pytest.mark.parametrize("block_size", [1, 3, 100])
def test_blocks_span_files_and_parts_of_files(
    tmp_path: Path, block_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_json_lines, "BYTES_AT_ONCE", 60)  # two lines
    plain = write(tmp_path / "a.jsonl", GOOD, "", GOOD + "\r", GOOD, "", "", GOOD)
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(f"{GOOD}\n{GOOD}\n".encode()))
    (tmp_path / "empty.jsonl").touch()
    blocks = as_batches(
        md.read_jsonl([plain, tmp_path / "empty.jsonl", packed], block_size=block_size)
    )
    assert [row for block in blocks for row in block] == [ROW] * 6
    assert {len(block) for block in blocks[:-1]} <= {block_size}


def test_a_file_without_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl", "", "")
    assert all_rows(md.read_jsonl(path, features={"ids": IDS})) == []
    with pytest.raises(ValueError, match=r"must begin with lines of JSON objects.*features="):
        md.read_jsonl(path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"ids": [1, 2], "name": "é"', "line 6: JSON parse error"),
        ('{"ids": [1.5], "name": "é"}', "line 6: .*couldn't parse:1.5"),
        ('{"ids": ["1"], "name": "é"}', "line 6: .*changed from number to string"),
        (
            '{"ids": [9223372036854775808], "name": ""}',
            "line 6: .*couldn't parse:9223372036854775808",
        ),
        ('{"ids": [1], "name": "é", "more": 1}', "line 6: .*unexpected field"),
        ('{"ids": [1], "name": "é", "name": "é"}', "line 6: .*specified twice"),
        ("[1]", "line 6: .*changed from object to array"),
        ("word", "line 6: .*Invalid value"),
        ('{"ids": [1]}', r"'name' must have no nulls or missing keys in .*rows \[4\]"),
        (
            '{"ids": [1, null], "name": "é"}',
            r"'ids' must have no nulls or missing keys in .*rows \[4\]",
        ),
    ],
)
def test_a_line_that_does_not_fit_is_named(
    tmp_path: Path, line: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_json_lines, "BYTES_AT_ONCE", 64)
    path = write(tmp_path / "some.jsonl", GOOD, GOOD, "", GOOD, GOOD, line, GOOD)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"read_jsonl: .*{words}"):
        list(md.read_jsonl(path))


def test_a_list_of_another_size_than_told_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl", '{"v": [1, 2]}', '{"v": [1]}')
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"line 2: .*FixedSizeList"):
        list(md.read_jsonl(path, features={"v": tf.TensorSpec([None, 2], tf.int64)}))


@pytest.mark.parametrize(
    ("line", "arguments", "error", "words"),
    [
        (GOOD, {"block_size": 0}, ValueError, "block_size must be at least 1"),
        (GOOD, {"features": ["ids"]}, TypeError, "features must map names to the specs"),
        (
            GOOD,
            {"features": {"x": tf.TensorSpec([None], tf.bfloat16)}},
            TypeError,
            "must hold numbers",
        ),
        ('{"x": []}', {}, TypeError, "column 'x' must hold numbers.*null"),
        ('{"x": {"y": 1}}', {}, TypeError, "column 'x' must hold numbers.*struct"),
        ("word", {}, ValueError, "must begin with lines of JSON objects, got .*line 1"),
    ],
)
def test_refusals(
    tmp_path: Path, line: str, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"read_jsonl: .*{words}"):
        md.read_jsonl(write(tmp_path / "some.jsonl", line), **arguments)


def test_a_line_that_is_too_long_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "some.jsonl", GOOD, '{"ids": [' + "1, " * 100 + '1], "name": ""}')
    monkeypatch.setattr(_json_lines, "BYTES_AT_ONCE", 64)
    with pytest.raises(tf.errors.InvalidArgumentError, match="straddles two block boundaries"):
        list(md.read_jsonl(path))
