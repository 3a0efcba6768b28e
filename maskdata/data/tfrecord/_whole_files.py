"""A manifest -> the records of its directory, if all files are there and have the bytes they should."""

import numpy as np
import tensorflow as tf

from maskdata.data import _check
from maskdata.data.tfrecord._record_index import Structured
from maskdata.data.tfrecord._verified_records import FileRecords
from maskdata.data.tfrecord.manifest import Manifest, Shard

REMEDY = "Restore it; or pass skip=check_tfrecord(directory), which counts what is lost."


def whole_files(who: str, manifest: Manifest) -> list[FileRecords]:
    """Return how to read all records of a directory; refuse it if a file is missing, cut or of another write."""
    present = set(tf.io.gfile.listdir(manifest.directory))
    for number, shard in enumerate(manifest.shards):
        path = manifest.path(shard.file)
        if shard.file not in present:
            must = "directory must hold every file of its manifest"
            _check.refuse(who, must, f"no {path}", REMEDY, FileNotFoundError)
        size = tf.io.gfile.stat(path).length
        if size != shard.num_bytes:
            ends = np.cumsum(manifest.records_by_file[number]["num_bytes"], dtype=np.int64)
            whole = np.searchsorted(ends, size, side="right")
            must = f"{path} must have {shard.num_bytes} bytes, {shard.num_rows} records"
            remedy = f"It ends before record {whole}. " if whole < shard.num_rows else ""
            _check.refuse(who, must, size, remedy + REMEDY)
    refuse_other_files(who, manifest, present)
    return [
        _whole_file(manifest.path(shard.file), shard, pages)
        for shard, pages in zip(manifest.shards, manifest.pages_by_file, strict=True)
    ]


def _whole_file(path: str, shard: Shard, pages: Structured) -> FileRecords:
    runs = np.flatnonzero(pages["num_records"])
    return FileRecords(
        path=path,
        num_bytes=shard.num_bytes,
        fingerprints=pages["fingerprint"],
        first_record=pages["record"],
        last_record=np.minimum(pages["record"] + pages["num_records"], shard.num_rows - 1),
        run_page=runs,
        run_offset=pages["offset"][runs],
        run_length=pages["num_records"][runs],
    )


def refuse_other_files(who: str, manifest: Manifest, present: set[str]) -> None:
    """Refuse a directory with files of records that are not in its manifest."""
    files = {shard.file for shard in manifest.shards}
    others = sorted(name for name in present - files if name.endswith(".tfrecord"))
    if others:
        must = f"{manifest.directory} must hold the files of one write"
        _check.refuse(who, must, others, "Remove what is not in its manifest.")
