"""A directory of files of records -> which of its rows are lost, and why."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import tensorflow as tf

from maskdata._progress import progress
from maskdata.data import _check
from maskdata.data._sources import path_of
from maskdata.data.tfrecord._file_check import check_file
from maskdata.data.tfrecord._verified_records import FileRecords
from maskdata.data.tfrecord._whole_files import refuse_other_files
from maskdata.data.tfrecord.manifest import Manifest, read_manifest

MISSING = "the file is missing"


class Problem(NamedTuple):
    """Rows of one file, one after the other, that are lost for one reason."""

    file: str
    record: int
    num_rows: int
    reason: str


@dataclass(frozen=True)
class TFRecordCheck:
    """What `check_tfrecord` found."""

    directory: str
    num_rows: int
    """How many rows can be read."""
    problems: tuple[Problem, ...]
    _files: tuple[FileRecords, ...] = field(repr=False, compare=False)
    _checksum: str = field(repr=False)

    @property
    def rows_lost(self) -> dict[str, int]:
        """How many rows are lost, by reason."""
        counts: dict[str, int] = {}
        for problem in self.problems:
            counts[problem.reason] = counts.get(problem.reason, 0) + problem.num_rows
        return counts

    def __str__(self) -> str:
        lost = sum(self.rows_lost.values())
        lines = [f"{self.directory}: {self.num_rows:,} rows can be read, {lost:,} lost"]
        for file, record, num_rows, reason in self.problems:
            last = f" to {record + num_rows - 1}" if num_rows > 1 else ""
            lines.append(f"{file}, record {record}{last}: {reason}")
        return "\n".join(lines)

    def readable(self, who: str, manifest: Manifest) -> Sequence[FileRecords]:
        """Return what can be read; refuse a check of another directory."""
        where = [os.path.abspath(x.directory) for x in (self, manifest)]  # noqa: PTH100 or a URL
        if where[0] != where[1] or self._checksum != manifest.checksum:
            must = f"skip must be what check_tfrecord found in {manifest.directory}"
            _check.refuse(who, must, self, "Check this directory.")
        return self._files


def check_tfrecord(directory: str | os.PathLike[str]) -> TFRecordCheck:
    """Find the rows of a directory that are lost, each by file and record, and count them by reason.

    Stage: a directory of files of records -> **what can be read, and what is lost**.

    Reads every byte once. A row is lost if a single byte of its record is not what was written; all
    others can be read with `read_tfrecord(directory, skip=check)`. The reasons are that a file
    is missing, that it ends before the row does, and that the bytes are not those that were written:
    wrong bytes, or records of another write. Wrong bytes between records belong to the next one.

    Args:
        directory: What `write_tfrecord` made.

    Shapes:
        rows_lost: a number for each reason; problems: file, record, rows and reason

    Raises:
        TypeError, ValueError, FileNotFoundError: When called, if the manifest or the arrays beside it
            are not whole, or for files that are not in it: nothing can be known then.

    Example:
        >>> rows = md.from_rows({"tokens": [["to", "be"], [], ["or"]]})
        >>> manifest = md.write_tfrecord(rows, "three_rows", shards=1)
        >>> file = pathlib.Path("three_rows") / manifest.shards[0].file
        >>> _ = file.write_bytes(file.read_bytes().replace(b"or", b"OR"))
        >>> check = md.check_tfrecord("three_rows")
        >>> print(check)
        three_rows: 2 rows can be read, 1 lost
        rows-00000-of-00001.tfrecord, record 2: not what was written
        >>> whole = md.read_tfrecord("three_rows", skip=check).get_single_element()
        >>> whole["tokens"].to_list(), check.rows_lost
        ([[b'to', b'be'], []], {'not what was written': 1})
    """
    who = "check_tfrecord"
    manifest = read_manifest(path_of(who, "directory", directory))
    refuse_other_files(who, manifest, set(tf.io.gfile.listdir(manifest.directory)))
    known = zip(manifest.shards, manifest.pages_by_file, manifest.records_by_file, strict=True)
    problems: list[Problem] = []
    files: list[FileRecords] = []
    for shard, pages, records in progress(list(known), "Checking records, in files"):
        path = manifest.path(shard.file)
        if not tf.io.gfile.exists(path):
            problems.append(Problem(shard.file, 0, shard.num_rows, MISSING))
            continue
        readable, lost = check_file(path, manifest.page_bytes, pages["fingerprint"], records)
        files.append(readable)
        problems += [Problem(shard.file, *some) for some in lost]
    num_rows = manifest.num_rows - sum(problem.num_rows for problem in problems)
    return TFRecordCheck(
        manifest.directory, num_rows, tuple(problems), tuple(files), manifest.checksum
    )
