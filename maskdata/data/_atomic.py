"""Bytes -> a file, and files -> a directory: there whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from maskdata.data import _check

UNFINISHED = ".unfinished"
"""What the name of a directory ends in until all of it is written."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`; a reader sees the old file or the new one, never half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


@contextlib.contextmanager
def write_directory_atomically(who: str, directory: Path) -> Iterator[Path]:
    """Yield a directory to write to, which becomes `directory` at the end, or vanishes on an error.

    It stands beside `directory`, and nobody else can make it meanwhile: a second writer is refused.
    """
    unfinished = directory.with_name(directory.name + UNFINISHED)
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        unfinished.mkdir()
    except FileExistsError:
        must = "no one else may write to the same directory"
        remedy = "If no other process does, one was killed: delete what it left."
        _check.refuse(who, must, str(unfinished), remedy, FileExistsError)
    try:
        _refuse_content(who, directory)
        yield unfinished
        for path in (*unfinished.iterdir(), unfinished):
            sync(path)
        unfinished.rename(directory)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync(directory.parent)


def _refuse_content(who: str, directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir() or any(directory.iterdir()):
        must = "directory must be new, or empty"
        _check.refuse(who, must, str(directory), "Delete it or name another.", FileExistsError)


def sync(path: Path) -> None:
    """Wait until the disk has it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
