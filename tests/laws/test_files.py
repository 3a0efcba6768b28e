"""What was written is read, and no fault of a file goes by unseen: laws of the files of records."""

import contextlib
import functools
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import maskdata as md
from maskdata.data._fingerprint import calls_python, graph_of
from maskdata.data.tfrecord import _example_codec, _shards
from tests.laws.test_resume import check_resume
from tests.strategies import FIVE_ROWS, Feed, all_kinds, all_rows, as_rows, blocks, in_blocks

FRAME = 16
SMALL = {name: FIVE_ROWS[name] for name in ("ids", "label")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five small rows in two files; records of 45 to 49 bytes lie across pages of 48."""
    directory = tmp_path_factory.mktemp("whole") / "rows"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_shards, "PAGE_BYTES", 48)
        md.write_tfrecord(in_blocks(SMALL, [0, 5]), directory, shards=2)
    return directory


def in_turn(rows: list[Any], shards: int) -> list[Any]:
    """Return the rows file by file, as they stand in the files."""
    return [row for shard in range(shards) for row in rows[shard::shards]]


# What was written is read.


def check_round_trip(
    dataset: tf.data.Dataset,
    shards: int,
    block_size: int,
    read: Callable[..., Any] = md.read_tfrecord,
) -> None:
    with tempfile.TemporaryDirectory() as parent:
        directory = Path(parent) / "rows"
        rows = all_rows(dataset)
        manifest = md.write_tfrecord(dataset, directory, shards=shards)
        assert manifest == md.read_manifest(directory)
        assert [shard.num_rows for shard in manifest.shards] == [
            len(rows[shard::shards]) for shard in range(shards)
        ]
        for name, lengths in manifest.row_lengths.items():
            assert lengths.tolist() == [len(row[name]) for row in rows]
        again = read(directory, block_size=block_size)
        assert all_rows(again) == in_turn(rows, shards)
        assert again.element_spec == dataset.element_spec


@settings(max_examples=3)
@given(blocks(), st.integers(1, 5), st.integers(1, 5))
def test_what_was_written_is_read(
    drawn: tuple[Any, tf.data.Dataset], shards: int, block_size: int
) -> None:
    check_round_trip(drawn[1], shards, block_size)


def test_files_do_not_depend_on_how_the_rows_were_cut_into_blocks(tmp_path: Path) -> None:
    whole, cut_up = (
        md.write_tfrecord(in_blocks(SMALL, bounds), tmp_path / str(len(bounds)), shards=2)
        for bounds in ([0, 5], [0, 0, 2, 3, 5])
    )
    assert whole.checksum == cut_up.checksum  # the checksums of all files are in it


@pytest.mark.parametrize("bounds", [[0, 0], [0, 0, 5, 5]], ids=["no rows", "empty blocks"])
def test_more_files_than_rows(bounds: list[int]) -> None:
    check_round_trip(in_blocks(SMALL, bounds), shards=7, block_size=3)


def test_the_law_catches_a_lost_row() -> None:
    def losing_one(directory: Path, block_size: int) -> tf.data.Dataset:
        whole = md.read_tfrecord(directory, block_size=block_size)
        return whole.map(lambda block: {name: rows[:2] for name, rows in block.items()})

    with pytest.raises(AssertionError):
        check_round_trip(in_blocks(SMALL, [0, 5]), 1, 3, losing_one)


@functools.cache
def through_records() -> Any:
    """Encode and decode, no more than ten values at once; traced once."""
    spec = Feed(lambda rows: rows).dataset.element_spec
    function = tf.function(
        lambda block: _example_codec.decode(_example_codec.encode(block), spec),
        input_signature=[spec],
        autograph=False,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_example_codec, "SLOTS", 10)
        function.get_concrete_function()
    return function


@given(all_kinds)
def test_records_hold_the_rows_in_however_many_slices_they_are_encoded(element: Any) -> None:
    assert as_rows(through_records()(element)) == as_rows(element)


def test_files_take_turns_page_by_page(whole: Path) -> None:
    one, two = (
        all_rows(md.read_tfrecord(whole, features=["label"], cycle_length=files))
        for files in (1, 2)
    )
    assert b"".join(row["label"] for row in one) == b"acebd"
    # The second file's first page ends one byte before its first record does.
    assert b"".join(row["label"] for row in two) == b"acbed"


def test_reading_is_pure_and_resumes_where_it_stopped(whole: Path, tmp_path: Path) -> None:
    dataset = md.read_tfrecord(whole, block_size=2)
    assert not calls_python(graph_of(dataset))
    check_resume(dataset, tmp_path)


@pytest.mark.parametrize("policy", ["FILE", "DATA"])
def test_workers_of_a_strategy_share_the_rows(whole: Path, policy: str) -> None:
    dataset = md.read_tfrecord(whole, block_size=2)
    spec = dataset.element_spec
    shared = []
    for worker in range(2):
        share = tf.raw_ops.AutoShardDataset(
            input_dataset=tf.data.experimental.to_variant(dataset),
            num_workers=2,
            index=worker,
            auto_shard_policy=tf.data.experimental.AutoShardPolicy[policy].value,
            num_replicas=2,
            output_types=[tf.variant, tf.string],
            output_shapes=[tf.TensorShape([]), tf.TensorShape([None])],
        )
        shared += all_rows(tf.data.experimental.from_variant(share, spec))
    assert sorted(shared, key=itemgetter("label")) == all_rows(in_blocks(SMALL, [0, 5]))


# No fault goes by unseen.


class Written:
    """Five small rows in two files, the bytes of which can be changed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifest = md.read_manifest(directory)
        self.dataset = md.read_tfrecord(directory)
        self.rows = all_rows(in_blocks(SMALL, [0, 5]))
        self.paths = [directory / shard.file for shard in self.manifest.shards]
        self.ends = [np.cumsum(some["num_bytes"]) for some in self.manifest.records_by_file]

    def rows_but(self, file: int, lost: list[int]) -> list[Any]:
        """Return the rows by label, without these records of a file."""
        gone = {2 * record + file for record in lost}
        return [row for i, row in enumerate(self.rows) if i not in gone]


@pytest.fixture
def written(whole: Path, tmp_path: Path) -> Written:
    return Written(Path(shutil.copytree(whole, tmp_path / "rows")))


def by_label(dataset: tf.data.Dataset) -> list[Any]:
    """Return the rows in the order in which they were written."""
    return sorted(all_rows(dataset), key=itemgetter("label"))


@contextlib.contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(whole)


def flips(content: bytes, step: int = 1) -> Iterator[tuple[int, bytes]]:
    for position in range(0, len(content), step):
        wrong = content[position] ^ (1 << position % 8)
        yield position, content[:position] + bytes([wrong]) + content[position + 1 :]


def named_records(error: tf.errors.OpError, path: Path) -> range:
    """Return the records that an error says are damaged, in the file that it must name."""
    found = re.search(rf"\[{re.escape(str(path))}\] \[(\d+)\] \[(\d+)\]", error.message)
    assert found, error.message
    return range(int(found[1]), int(found[2]) + 1)


def test_a_wrong_byte_is_an_error_that_names_the_file_and_counts_one_row(
    written: Written,
) -> None:
    for file, path in enumerate(written.paths):
        for position, content in flips(path.read_bytes(), step=17):
            record = int(np.searchsorted(written.ends[file], position, side="right"))
            with changed(path, content):
                with pytest.raises(
                    tf.errors.InvalidArgumentError, match="must hold the bytes"
                ) as e:
                    list(written.dataset)
                assert record in named_records(e.value, path)
                check = md.check_tfrecord(written.directory)
            assert check.problems == ((path.name, record, 1, "not what was written"),)
            assert check.num_rows == 4


def test_a_file_that_ends_early_is_an_error_and_its_rows_are_counted(
    written: Written,
) -> None:
    for file, path in enumerate(written.paths):
        whole = path.read_bytes()
        for size in sorted({*range(0, len(whole), 17), *written.ends[file][:-1].tolist()}):
            lost = np.flatnonzero(written.ends[file] > size).tolist()
            with changed(path, whole[:size]):
                with pytest.raises(
                    ValueError, match=f"It ends before record {lost[0]}. Restore it"
                ):
                    md.read_tfrecord(written.directory)
                check = md.check_tfrecord(written.directory)
                assert check.rows_lost == {"the file ends before": len(lost)}
                if size in (0, *written.ends[file]):  # the cut that TFRecords cannot see
                    with pytest.raises(tf.errors.OpError):
                        list(written.dataset)
                    kept = md.read_tfrecord(written.directory, skip=check)
                    assert by_label(kept) == written.rows_but(file, lost)


@pytest.mark.parametrize("pages", ["many", "one"])
def test_what_is_skipped_is_what_was_counted(pages: str, written: Written, tmp_path: Path) -> None:
    if pages == "one":
        md.write_tfrecord(in_blocks(SMALL, [0, 5]), tmp_path / "one", shards=2)
        written = Written(tmp_path / "one")
    path, ends = written.paths[0], written.ends[0]
    whole = path.read_bytes()
    for lost in ([1], [0, 2], [0, 1, 2]):
        wrong = bytearray(whole)
        for record in lost:
            wrong[ends[record] - 9] ^= 1
        for content in (bytes(wrong), bytes(wrong) + b"more"):
            with changed(path, content):
                check = md.check_tfrecord(written.directory)
                assert check.rows_lost == {"not what was written": len(lost)}
                kept = md.read_tfrecord(written.directory, skip=check)
                assert by_label(kept) == written.rows_but(0, lost)
    with changed(path, whole + b"more"), pytest.raises(ValueError, match="must have"):
        md.read_tfrecord(written.directory)


def test_a_missing_file_is_an_error_and_its_rows_are_counted(written: Written) -> None:
    written.paths[1].unlink()
    with pytest.raises(FileNotFoundError, match=written.paths[1].name):
        md.read_tfrecord(written.directory)
    with pytest.raises(tf.errors.NotFoundError, match=written.paths[1].name):
        list(written.dataset)
    check = md.check_tfrecord(written.directory)
    assert check.problems == ((written.paths[1].name, 0, 2, "the file is missing"),)
    assert all_rows(md.read_tfrecord(written.directory, skip=check)) == written.rows[::2]
    written.paths[0].unlink()
    check = md.check_tfrecord(written.directory)
    assert check.rows_lost == {"the file is missing": 5}
    assert all_rows(md.read_tfrecord(written.directory, skip=check)) == []


def test_a_file_of_another_write_is_an_error(written: Written, tmp_path: Path) -> None:
    others = in_blocks(SMALL | {"ids": SMALL["ids"] + 1}, [0, 5])  # of the same sizes
    other = md.write_tfrecord(others, tmp_path / "others", shards=2)
    path = written.paths[1]
    assert [shard.num_bytes for shard in other.shards] == [
        shard.num_bytes for shard in written.manifest.shards
    ]
    with changed(path, (tmp_path / "others" / path.name).read_bytes()):
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            list(md.read_tfrecord(written.directory))
        assert 0 in named_records(error.value, path)
        check = md.check_tfrecord(written.directory)
    assert check.rows_lost == {"not what was written": 2}
    (written.directory / "rows-00000-of-00003.tfrecord").touch()
    with pytest.raises(ValueError, match=r"must hold the files of one write.*00000-of-00003"):
        md.read_tfrecord(written.directory)


def all_that_is_known(directory: Path) -> list[Any]:
    manifest = md.read_manifest(directory)
    arrays = (manifest.row_lengths, manifest.pages_by_file, manifest.records_by_file)
    return [manifest, *map(str, arrays)]


def test_a_wrong_byte_in_what_is_known_of_the_files_is_found(written: Written) -> None:
    known = all_that_is_known(written.directory)
    harmless = []
    for name in ("manifest.json", "row_lengths.npy", "pages.npy", "records.npy"):
        path = written.directory / name
        whole = path.read_bytes()
        for position, content in flips(whole, step=9):
            with changed(path, content):
                try:
                    assert all_that_is_known(written.directory) == known
                    harmless.append(whole[position : position + 1])
                except ValueError as error:
                    assert "read_manifest: " in str(error)  # noqa: PT017
        for size in range(0, len(whole) - 2, 99):
            with changed(path, whole[:size]), pytest.raises(ValueError, match="read_manifest: "):
                all_that_is_known(written.directory)
    assert not b"".join(harmless).strip()  # white space became other white space


def test_the_laws_catch_what_tensorflow_alone_does_not_see(written: Written) -> None:
    spec = {name: written.manifest.element_spec[name] for name in SMALL}
    path = written.paths[0]
    with changed(path, path.read_bytes()[: written.ends[0][0]]):
        stock = md.read_tfrecord(written.paths, features=spec)
        assert len(all_rows(stock)) == 3  # no error, though two rows are gone
