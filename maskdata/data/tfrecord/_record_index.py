"""Files of records -> an index: where their records stand, and the fingerprints of their bytes.

A file is checked in pages of a fixed size. Fingerprints are FarmHash64 of `tf.fingerprint`, because a
graph can compute it; TensorFlow promises that it will never change.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

FRAME_BYTES = 16
"""Bytes of a record besides its data: their number, and checksums of both."""

PAGE = np.dtype(
    [("fingerprint", "<i8"), ("record", "<i8"), ("num_records", "<i8"), ("offset", "<i8")]
)
"""A page, and the run of records that end in it: they can be read once it is known to be whole.

The number in its file of the first of these records, how many they are, and where the first begins.
"""

RECORD = np.dtype([("num_bytes", "<u4"), ("fingerprint", "<u4")])
"""A record with its frame: its size, and half of its fingerprint."""

Structured = npt.NDArray[np.void]


class FileIndex(NamedTuple):
    """What is known of a file of records: arrays of PAGE and of RECORD."""

    pages: Structured
    records: Structured
    sha256: str


def index_file(path: Path, sizes: npt.NDArray[np.integer[Any]], page_bytes: int) -> FileIndex:
    """Read back a file that was written, to learn the fingerprints of what is on the disk.

    Args:
        path: A file of records, not compressed.
        sizes: The bytes of each record, without its frame.
        page_bytes: How many bytes have one fingerprint.
    """
    ends = np.cumsum(sizes + FRAME_BYTES, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    if path.stat().st_size != total:
        found = path.stat().st_size
        raise OSError(f"{path} must have {total} bytes, got {found}. Is the disk full?")
    pages = np.zeros(-(-total // page_bytes), PAGE)
    limits = np.searchsorted(ends, np.arange(1, len(pages) + 1) * page_bytes, side="right")
    pages["record"] = np.append(0, limits)[:-1]
    pages["num_records"] = limits - pages["record"]
    pages["offset"] = np.append(0, ends)[pages["record"]]
    records = np.zeros(len(sizes), RECORD)
    records["num_bytes"] = sizes + FRAME_BYTES
    sha256 = hashlib.sha256()
    held = bytearray()  # from the beginning of a record that has not ended yet
    for page, content in zip(pages, read_pages(str(path), page_bytes), strict=True):
        sha256.update(content)
        page["fingerprint"] = fingerprints([content])[0]
        held += content
        run = slice(page["record"], page["record"] + page["num_records"])
        frames = _cut(held, records["num_bytes"][run])
        records["fingerprint"][run] = halves(fingerprints(frames))
        del held[: sum(map(len, frames))]
    return FileIndex(pages, records, sha256.hexdigest())


def read_pages(path: str, page_bytes: int) -> Iterator[bytes]:
    """Yield the pages of a file; the last may be shorter."""
    with tf.io.gfile.GFile(path, "rb") as file:
        while page := file.read(page_bytes):
            yield page


def _cut(content: bytearray, sizes: npt.NDArray[np.uint32]) -> list[bytes]:
    limits = np.cumsum(sizes, dtype=np.int64).tolist()
    return [bytes(content[start:end]) for start, end in zip([0, *limits], limits, strict=False)]


def fingerprints(contents: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """Return the fingerprint of each string.

    >>> fingerprints([b"row", b""]).tolist()
    [-143588341311100101, -7286425919675154353]
    """
    hashes = np.asarray(tf.fingerprint(tf.constant(contents, tf.string, [len(contents)])))
    return hashes.view("<i8")[:, 0]


def halves(of: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Return the lower half of each fingerprint."""
    return of.view("<u4")[::2]
