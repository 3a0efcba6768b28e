"""Processes of their own in which TensorFlow is imported already: that takes four seconds of each."""

import contextlib
import multiprocessing
import runpy
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

# All tests of a session share one server of processes, so all want the same modules.
_context: ForkServerContext = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["maskdata"])


def run(target: Callable[..., Any], *arguments: Any, seconds: float | None = None) -> int | None:
    """Run a function in a process of its own, killed after some seconds; return its exit code."""
    process = _context.Process(target=target, args=arguments)
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
    process.join()
    return process.exitcode


def run_script(script: Path, *arguments: str, output: Path, seconds: float = 300) -> str:
    """Return what a script prints, run as `python script arguments` runs it."""
    exit_code = run(_run_as_main, script, arguments, output, seconds=seconds)
    assert exit_code == 0, output.read_text()
    return output.read_text()


def _run_as_main(script: Path, arguments: tuple[str, ...], output: Path) -> None:
    sys.argv = [str(script), *arguments]
    sys.path[0] = str(script.parent)
    with output.open("w") as file, contextlib.redirect_stdout(file):
        runpy.run_path(str(script), run_name="__main__")
