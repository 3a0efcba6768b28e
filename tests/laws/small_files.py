"""Five small rows in two files of records: what the laws of files read, and what they damage."""

from pathlib import Path

import pytest

import maskdata as md
from maskdata.data.tfrecord import _shards
from tests.strategies import FIVE_ROWS, in_blocks

SMALL = {name: FIVE_ROWS[name] for name in ("ids", "label")}


def write_small(directory: Path) -> Path:
    """Write the rows; records of 45 to 49 bytes lie across pages of 48."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_shards, "PAGE_BYTES", 48)
        md.write_tfrecord(in_blocks(SMALL, [0, 5]), directory, shards=2)
    return directory
