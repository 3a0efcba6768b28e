"""A file of records and its index -> which records can be read, and which are lost, and why."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from maskdata.data.tfrecord._record_index import Structured, fingerprints, halves, read_pages
from maskdata.data.tfrecord._verified_records import FileRecords, Ints

CUT = "the file ends before"
CHANGED = "not what was written"

RECORDS_AT_ONCE = 1000


def check_file(
    path: str, page_bytes: int, written: Ints, records: Structured
) -> tuple[FileRecords, list[tuple[int, int, str]]]:
    """Return how to read what is good, and the runs of records that are lost: first, number, reason.

    Args:
        path: A file of records.
        page_bytes: How many bytes have one fingerprint.
        written: The fingerprints of the pages that were written.
        records: The records that were written, an array of RECORD.
    """
    ends = np.cumsum(records["num_bytes"], dtype=np.int64)
    pages = read_pages(path, page_bytes)
    found = np.array([fingerprints([page])[0] for page in pages], np.int64)
    size = tf.io.gfile.stat(path).length
    is_cut = ends > size
    is_good = np.zeros(len(records), bool)
    is_good[~is_cut] = _are_as_written(path, page_bytes, found, written, records[~is_cut])
    readable = _readable(path, size, page_bytes, found, is_good, ends)
    return readable, list(_lost(is_good, is_cut))


def _are_as_written(
    path: str, page_bytes: int, found: Ints, written: Ints, records: Structured
) -> npt.NDArray[np.bool_]:
    """Tell which records have the bytes that were written; only those in wrong pages are read."""
    is_wrong = np.ones(len(written) + 1, bool)
    num_pages = min(len(found), len(written))
    is_wrong[:num_pages] = found[:num_pages] != written[:num_pages]
    wrong_before = np.append(0, np.cumsum(is_wrong))
    ends = np.cumsum(records["num_bytes"], dtype=np.int64)
    starts = ends - records["num_bytes"]
    in_wrong_pages = wrong_before[(ends - 1) // page_bytes + 1] - wrong_before[starts // page_bytes]
    is_good: npt.NDArray[np.bool_] = in_wrong_pages == 0
    doubtful = np.flatnonzero(~is_good)
    with tf.io.gfile.GFile(path, "rb") as file:
        for first in range(0, len(doubtful), RECORDS_AT_ONCE):
            some = doubtful[first : first + RECORDS_AT_ONCE]
            contents = []
            for start, num_bytes in zip(starts[some], records["num_bytes"][some], strict=True):
                file.seek(int(start))
                contents.append(file.read(int(num_bytes)))
            is_good[some] = halves(fingerprints(contents)) == records["fingerprint"][some]
    return is_good


def _lost(
    is_good: npt.NDArray[np.bool_], is_cut: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, int, str]]:
    """Yield the first record, the number of records and the reason of each run that is lost."""
    reasons = ("", CHANGED, CUT)
    reason = np.where(is_cut, 2, np.where(is_good, 0, 1))
    bounds = np.flatnonzero(np.diff(reason, prepend=-1, append=-1))
    for start, limit in itertools.pairwise(bounds.tolist()):
        if reason[start]:
            yield start, limit - start, reasons[reason[start]]


def _readable(
    path: str, size: int, page_bytes: int, found: Ints, is_good: npt.NDArray[np.bool_], ends: Ints
) -> FileRecords:
    """Return the good records of one file, whose pages from now on must be as they were found."""
    end_page = (ends - 1) // page_bytes
    run = np.where(is_good, end_page, -1)
    bounds = np.flatnonzero(np.diff(run, prepend=-2, append=-2))
    firsts, limits = bounds[:-1], bounds[1:]
    firsts, limits = (x[run[firsts] >= 0] for x in (firsts, limits))
    page_starts = np.arange(len(found)) * page_bytes
    return FileRecords(
        path=path,
        num_bytes=size,
        fingerprints=found,
        first_record=np.searchsorted(ends, page_starts, side="right"),
        last_record=np.minimum(np.searchsorted(ends, page_starts + page_bytes), len(ends) - 1),
        run_page=run[firsts],
        run_offset=np.append(0, ends)[firsts],
        run_length=limits - firsts,
    )
