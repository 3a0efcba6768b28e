"""read_tfrecord, read_manifest and check_tfrecord: features, blocks, files of others, the refusals."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data.tfrecord import manifest
from tests.strategies import all_rows, as_batches

IDS = tf.RaggedTensorSpec([None, None], tf.int64)
LABEL = tf.TensorSpec([None], tf.int64)
ROWS = md.from_rows(
    {"ids": tf.ragged.constant([[1, 2], [], [3]], tf.int64), "label": tf.range(3, dtype=tf.int64)}
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole") / "rows"
    md.write_tfrecord(ROWS, directory, shards=1)
    return directory


@pytest.fixture
def written(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(whole, tmp_path / "rows"))


def write_examples(path: Path, rows: list[dict[str, Any]], compression: str = "") -> Path:
    kinds = {
        int: lambda v: tf.train.Feature(int64_list=tf.train.Int64List(value=v)),
        float: lambda v: tf.train.Feature(float_list=tf.train.FloatList(value=v)),
        bytes: lambda v: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)),
    }
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for row in rows:
            features = {name: kinds[type(values[0])](values) for name, values in row.items()}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return path


@pytest.mark.parametrize("block_size", [1, 2, 3, 100])
def test_blocks_have_their_size(written: Path, block_size: int) -> None:
    blocks = as_batches(md.read_tfrecord(written, block_size=block_size))
    assert [row["label"] for block in blocks for row in block] == [0, 1, 2]
    assert {len(block) for block in blocks[:-1]} <= {block_size}


def test_some_features_only(written: Path) -> None:
    assert list(md.read_tfrecord(written, features=["label"]).element_spec) == ["label"]
    assert all_rows(md.read_tfrecord(written, features={"ids": IDS})) == [
        {"ids": [1, 2]},
        {"ids": []},
        {"ids": [3]},
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"features": ["lable"]}, ValueError, "no feature 'lable'.*Did you mean 'label'"),
        ({"features": {"ids": LABEL}}, TypeError, "feature 'ids' must be RaggedTensorSpec.*as it"),
        (
            {"features": {"label": tf.TensorSpec([None], tf.int32)}},
            TypeError,
            "feature 'label' must be TensorSpec.*int64.*got.*int32",
        ),
        ({"features": "ids"}, TypeError, "features must list feature names"),
        ({"block_size": 0}, ValueError, "block_size must be at least 1"),
        ({"cycle_length": 0}, ValueError, "cycle_length must be at least 1"),
        ({"compression_type": "GZIP"}, ValueError, "must be None for a directory"),
    ],
)
def test_refusals_of_a_directory(
    written: Path, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"read_tfrecord: .*{words}"):
        md.read_tfrecord(written, **arguments)


def test_a_check_of_another_directory_is_refused(written: Path, tmp_path: Path) -> None:
    md.write_tfrecord(ROWS.take(0), tmp_path / "other", shards=1)
    check = md.check_tfrecord(tmp_path / "other")
    with pytest.raises(ValueError, match="skip must be what check_tfrecord found in"):
        md.read_tfrecord(written, skip=check)
    with pytest.raises(TypeError, match="check_tfrecord: directory must be a path"):
        md.check_tfrecord(7)  # type: ignore[arg-type]


def test_a_whole_directory_has_no_problems(written: Path) -> None:
    check = md.check_tfrecord(written)
    assert (check.num_rows, check.problems, check.rows_lost) == (3, (), {})
    assert str(check) == f"{written}: 3 rows can be read, 0 lost"
    assert all_rows(md.read_tfrecord(written, skip=check)) == all_rows(ROWS)


# The manifest.


def edit(directory: Path, **values: Any) -> None:
    path = directory / "manifest.json"
    content = json.loads(path.read_text()) | values
    del content["sha256"]
    path.write_text(json.dumps(content | {"sha256": manifest._checksum(content)}))


def test_a_manifest_of_another_version_is_refused(written: Path) -> None:
    edit(written, version=2)
    with pytest.raises(ValueError, match=r"must be \('maskdata records', 1\), got .*, 2\)"):
        md.read_manifest(written)


@pytest.mark.parametrize("content", ["", "[]", "{}", "nonsense", '{"sha256": ""}'])
def test_a_manifest_that_is_not_whole_is_refused(written: Path, content: str) -> None:
    (written / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match="read_manifest: the manifest must be whole"):
        md.read_tfrecord(written)


def test_a_directory_without_manifest_or_without_its_arrays_is_refused(written: Path) -> None:
    (written / "row_lengths.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"every file of its manifest.*row_lengths.npy"):
        _ = md.read_manifest(written).row_lengths
    (written / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"one that write_tfrecord made.*no manifest.json"):
        md.read_tfrecord(written)


# Files of others.


def test_files_of_others_are_read_by_their_specs(tmp_path: Path) -> None:
    rows = [{"ids": [1, 2], "x": [0.5, 1.0], "name": [b"a"]}, {"x": [1.5, 2.0], "name": [b"b"]}]
    paths = [write_examples(tmp_path / f"{i}.gz", rows, "GZIP") for i in range(2)]
    features = {
        "ids": IDS,
        "x": tf.RaggedTensorSpec([None, None, 2], tf.float32, ragged_rank=1),
        "name": tf.TensorSpec([None], tf.string),
    }
    dataset = md.read_tfrecord(paths, features=features, compression_type="GZIP", block_size=3)
    assert dataset.element_spec == features
    assert [len(block) for block in as_batches(dataset)] == [3, 1]
    assert (
        all_rows(dataset)
        == [
            {"ids": [1, 2], "x": [[0.5, 1.0]], "name": b"a"},
            {"ids": [], "x": [[1.5, 2.0]], "name": b"b"},
        ]
        * 2
    )


@pytest.mark.parametrize(
    ("features", "error", "words"),
    [
        (None, TypeError, "features must map names to the specs of a block"),
        (["label"], TypeError, "features must map names to the specs of a block"),
        ({"label": tf.int64}, TypeError, "must be the spec of a block"),
        ({"label": tf.TensorSpec([None], tf.int32)}, TypeError, "must be int64, float32 or string"),
        ({"x": tf.TensorSpec([None, None], tf.int64)}, ValueError, "known inner dimensions"),
        ({"x": tf.RaggedTensorSpec([None, None, 2], tf.int64)}, ValueError, "ragged_rank=1"),
        ({"lable": LABEL}, ValueError, "no feature 'lable'.*Did you mean 'label'"),
        ({"label": tf.TensorSpec([None], tf.string)}, TypeError, "'label' must be int64, as in"),
    ],
)
def test_refusals_of_files(
    tmp_path: Path, features: Any, error: type[Exception], words: str
) -> None:
    (tmp_path / "empty").touch()
    path = write_examples(tmp_path / "some", [{"label": [1]}])
    with pytest.raises(error, match=f"read_tfrecord: .*{words}"):
        md.read_tfrecord([tmp_path / "empty", path], features=features)


def test_a_record_that_does_not_fit_is_named(tmp_path: Path) -> None:
    good, bad = {"label": [1], "ids": [1]}, {"label": [b"one"], "ids": [1]}
    write_examples(tmp_path / "good", [good] * 3)
    write_examples(tmp_path / "bad", [good, good, bad])
    dataset = md.read_tfrecord(
        [tmp_path / "good", tmp_path / "bad"], features={"label": LABEL, "ids": IDS}
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{tmp_path}/bad record 2"):
        list(dataset)


def test_steps_that_are_not_whole_are_an_error(tmp_path: Path) -> None:
    path = write_examples(tmp_path / "some", [{"x": [1.0, 2.0, 3.0]}])
    features = {"x": tf.RaggedTensorSpec([None, None, 2], tf.float32, ragged_rank=1)}
    with pytest.raises(tf.errors.InvalidArgumentError, match="whole steps of 2 values"):
        list(md.read_tfrecord(path, features=features))


def test_row_lengths_that_belong_to_other_rows_are_an_error(tmp_path: Path) -> None:
    def row(values: list[int], lengths: list[int]) -> dict[str, list[int]]:
        return {"x/ragged_flat_values": values, "x/ragged_row_lengths_0": lengths}

    features = {"x": tf.RaggedTensorSpec([None, None, None], tf.int64)}
    good = write_examples(tmp_path / "good", [row([1, 2], [2]), row([3], [1])])
    assert all_rows(md.read_tfrecord(good, features=features)) == [{"x": [[1, 2]]}, {"x": [[3]]}]
    bad = write_examples(tmp_path / "bad", [row([1, 2], [1]), row([3], [2])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must add up to its values"):
        list(md.read_tfrecord(bad, features=features))


def test_files_that_are_no_examples_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a file of records at all")
    with tf.io.TFRecordWriter(str(tmp_path / "other")) as writer:
        writer.write(b"\xff\xff")
    for name in ("text", "other"):
        with pytest.raises(ValueError, match="must hold records that are Examples"):
            md.read_tfrecord(tmp_path / name, features={"label": LABEL})


def test_refusals_of_paths_and_of_what_is_for_directories_only(tmp_path: Path) -> None:
    path = write_examples(tmp_path / "some", [{"label": [1]}])
    features = {"label": LABEL}
    with pytest.raises(ValueError, match="source must name at least one file"):
        md.read_tfrecord([], features=features)
    with pytest.raises(FileNotFoundError, match="each of source must be an existing file"):
        md.read_tfrecord([path, tmp_path / "none"], features=features)
    with pytest.raises(TypeError, match="each of source must be a path"):
        md.read_tfrecord([7], features=features)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="compression_type must be one of"):
        md.read_tfrecord(path, features=features, compression_type="ZIP")
    md.write_tfrecord(ROWS, tmp_path / "rows", shards=1)
    with pytest.raises(ValueError, match="skip must be None for files without a manifest"):
        md.read_tfrecord(path, features=features, skip=md.check_tfrecord(tmp_path / "rows"))
