"""What was saved last <-> a directory in which it is whole, whenever the process dies."""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from maskdata.data import _check
from maskdata.data._atomic import UNFINISHED, write_directory_atomically

MANIFEST = "manifest.json"


class Saved(NamedTuple):
    """One save: its files, and what the manifest tells of them."""

    path: Path
    manifest: dict[str, Any]


@contextlib.contextmanager
def held(who: str, directory: Path) -> Iterator[None]:
    """Hold the directory: of two processes that train into it, the second is refused."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            # The system gives it back when the process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            must = "no other process may train into the same directory"
            _check.refuse(who, must, str(directory), "Wait for it, or name another directory.")
        yield


def save(
    who: str,
    directory: Path,
    number: int,
    manifest: dict[str, Any],
    write: Callable[[Path], None],
) -> Saved:
    """Save under a number that is larger than all before; `write` fills a directory.

    What was saved before is deleted only after the new save is on the disk under its name.
    """
    older = _finished(directory)
    finished = directory / f"{number:012d}"
    with write_directory_atomically(who, finished) as unfinished:
        write(unfinished)
        (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=1))
    for path in older:
        shutil.rmtree(path)
    return Saved(finished, manifest)


def latest(directory: Path) -> Saved | None:
    """Return what was saved last, and delete what a killed process left unfinished."""
    for path in directory.glob(f"*{UNFINISHED}"):
        shutil.rmtree(path)
    finished = _finished(directory)
    if not finished:
        return None
    newest = finished[-1]
    return Saved(newest, json.loads((newest / MANIFEST).read_text()))


def _finished(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_dir() and path.name.isdigit())
