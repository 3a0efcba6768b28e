"""No fault of a file of records goes by unseen."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from tests.laws.small_files import SMALL, write_small
from tests.strategies import all_rows, in_blocks

FRAME = 16


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("whole") / "rows")


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
