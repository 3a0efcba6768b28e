"""A directory of files of records <-> its manifest: what the rows are, and what every byte must be."""

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from maskdata.data import _check
from maskdata.data._sources import path_of
from maskdata.data._types import Spec
from maskdata.data.tfrecord import _schema
from maskdata.data.tfrecord._record_index import FileIndex, Structured

MANIFEST = "manifest.json"
PAGES, RECORDS, ROW_LENGTHS = "pages.npy", "records.npy", "row_lengths.npy"
FORMAT, VERSION = "maskdata records", 1
WHO = "read_manifest"
RESTORE = "Restore the directory as it was written, or write it again."


class Shard(NamedTuple):
    """One file of records."""

    file: str
    num_rows: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What is known of a directory that `write_tfrecord` made, without reading its rows."""

    directory: str
    element_spec: Spec
    """The features of a block."""
    shards: tuple[Shard, ...]
    """The files, each with its rows, its bytes and the checksum that `sha256sum` prints."""
    page_bytes: int = field(repr=False)
    """How many bytes of a file have one fingerprint."""
    checksum: str = field(repr=False)
    """Tells this manifest from all others."""
    _checksums: Mapping[str, str] = field(repr=False)

    @property
    def num_rows(self) -> int:
        """How many rows there are in all files."""
        return sum(shard.num_rows for shard in self.shards)

    @property
    def row_lengths(self) -> dict[str, npt.NDArray[np.int64]]:
        """The row lengths [N] of each ragged feature, in the order in which rows were written."""
        lengths = self._array(ROW_LENGTHS)
        return dict(zip(ragged_names(self.element_spec), lengths.astype(np.int64), strict=True))

    @property
    def pages_by_file(self) -> list[Structured]:
        """The pages of each file, arrays of PAGE."""
        return self._by_file(PAGES, [-(-s.num_bytes // self.page_bytes) for s in self.shards])

    @property
    def records_by_file(self) -> list[Structured]:
        """The records of each file, arrays of RECORD."""
        return self._by_file(RECORDS, [shard.num_rows for shard in self.shards])

    def path(self, file: str) -> str:
        """Return where a file of the directory is."""
        return tf.io.gfile.join(self.directory, file)  # type: ignore[no-any-return]

    def _by_file(self, file: str, lengths: Sequence[int]) -> list[Structured]:
        return np.split(self._array(file), np.cumsum(lengths)[:-1])

    def _array(self, file: str) -> npt.NDArray[Any]:
        path = self.path(file)
        if not tf.io.gfile.exists(path):
            must = "directory must hold every file of its manifest"
            _check.refuse(WHO, must, f"no {path}", RESTORE, FileNotFoundError)
        content = _read(path)
        if hashlib.sha256(content).hexdigest() != self._checksums[file]:
            _check.refuse(WHO, "a file must be the one that was written", path, RESTORE)
        return np.load(io.BytesIO(content), allow_pickle=False)  # type: ignore[no-any-return]


def ragged_names(spec: Spec) -> list[str]:
    """Return the features that have row lengths."""
    return [name for name, found in spec.items() if isinstance(found, tf.RaggedTensorSpec)]


def write_manifest(
    directory: Path,
    spec: Spec,
    files: Mapping[str, FileIndex],
    row_lengths: npt.NDArray[np.integer[Any]],
    page_bytes: int,
) -> None:
    """Write the manifest of a directory, and the arrays that it names.

    Args:
        directory: Where the files are.
        spec: The features of a block.
        files: The index of each file.
        row_lengths: Of the F ragged features and N rows, [F, N].
        page_bytes: How many bytes of a file have one fingerprint.
    """
    smallest = np.min_scalar_type(row_lengths.max(initial=0))
    arrays = {
        PAGES: np.concatenate([index.pages for index in files.values()]),
        RECORDS: np.concatenate([index.records for index in files.values()]),
        ROW_LENGTHS: row_lengths.astype(smallest),
    }
    checksums = {}
    for file, array in arrays.items():
        np.save(directory / file, array, allow_pickle=False)
        checksums[file] = hashlib.sha256((directory / file).read_bytes()).hexdigest()
    shards = [
        Shard(file, len(x.records), int(x.records["num_bytes"].sum(dtype=np.int64)), x.sha256)
        for file, x in files.items()
    ]
    content = {
        "format": FORMAT,
        "version": VERSION,
        "features": _schema.to_json(spec),
        "shards": [shard._asdict() for shard in shards],
        "page_bytes": page_bytes,
        "checksums": checksums,
    }
    text = json.dumps(content | {"sha256": _checksum(content)}, indent=1, ensure_ascii=False)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(directory: str | os.PathLike[str]) -> Manifest:
    """Read what is known of a directory of records, without reading its rows.

    Stage: a directory of files of records -> **what is known of it**.

    `manifest.num_rows`, `manifest.element_spec` and `manifest.shards` tell what there is;
    `manifest.row_lengths` is what `plan_buckets` wants: an array for each ragged feature.

    Args:
        directory: What `write_tfrecord` made.

    Shapes:
        row_lengths: [N] int64 for each ragged feature, in the order in which rows were written

    Raises:
        TypeError, ValueError, FileNotFoundError: When called, for a directory without a manifest, or
            with one that was changed or is of another version; `row_lengths` as well.

    Example:
        >>> rows = md.from_rows({"tokens": [[1, 2], [], [3]]})
        >>> _ = md.write_tfrecord(rows, "three_rows", shards=1)
        >>> manifest = md.read_manifest("three_rows")
        >>> manifest.num_rows, list(manifest.element_spec)
        (3, ['tokens'])
        >>> md.plan_buckets(manifest.row_lengths, 2, batch_size=2).bucket_boundaries
        (2,)
    """
    directory = path_of(WHO, "directory", directory)
    path = tf.io.gfile.join(directory, MANIFEST)
    if not tf.io.gfile.exists(path):
        must = "directory must be one that write_tfrecord made"
        remedy = f"It has no {MANIFEST}. Of other files, pass their paths and features= to read_tfrecord."
        _check.refuse(WHO, must, directory, remedy, FileNotFoundError)
    try:
        content = json.loads(_read(path).decode())
        checksum = content.pop("sha256")
        found = content["format"], content["version"]
    except (ValueError, KeyError, TypeError, AttributeError):
        _check.refuse(WHO, "the manifest must be whole", path, RESTORE)
        raise AssertionError from None
    if found != (FORMAT, VERSION):
        must = f"the manifest must be {(FORMAT, VERSION)}"
        remedy = f"Read {path} with the version of maskdata that wrote it, or write it again."
        _check.refuse(WHO, must, found, remedy)
    if checksum != _checksum(content):
        _check.refuse(WHO, "the manifest must be the one that was written", path, RESTORE)
    shards = tuple(Shard(**shard) for shard in content["shards"])
    spec = _schema.from_json(content["features"])
    return Manifest(directory, spec, shards, content["page_bytes"], checksum, content["checksums"])


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read(path: str) -> bytes:
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read()  # type: ignore[no-any-return]
