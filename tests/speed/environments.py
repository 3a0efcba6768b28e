"""Peers that cannot share our environment get one each, in `.venv-peers`, with pinned versions."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / ".venv-peers"
NUMPY, TENSORFLOW = "numpy==2.4.6", "tensorflow==2.21.0"  # as in our own environment
REQUIREMENTS = {
    "seqio_task": ["seqio==0.0.20", TENSORFLOW, "tensorflow-text==2.21.1", NUMPY],
    "grain_dataset": ["grain==0.2.18", NUMPY],
    "hugging_face": ["datasets==5.2.0", "transformers==5.23.0", TENSORFLOW, NUMPY],
    "torch_dataloader": ["torch==2.13.0", NUMPY],
}


class NotInstalledError(Exception):
    """A peer has no environment; with the last words of the one who tried to make it."""


def python_of(peer: str) -> Path:
    """Return the Python of a module of `tests.speed.peers`; install its library the first time."""
    directory, requirements = DIRECTORY / peer, "\n".join(REQUIREMENTS[peer])
    python, installed = directory / "bin" / "python", directory / "installed.txt"
    if not installed.exists() or installed.read_text() != requirements:
        print(f"Installing {', '.join(REQUIREMENTS[peer])} in {directory}", flush=True)
        DIRECTORY.mkdir(exist_ok=True)
        (DIRECTORY / ".gitignore").write_text("*\n")
        make = [sys.executable, "-m", "venv", "--clear", directory]
        install = [python, "-m", "pip", "install", "--quiet", *REQUIREMENTS[peer]]
        for command in (make, install):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                last_words = (done.stderr or done.stdout or "no message").splitlines()[-1]
                raise NotInstalledError(f"not installed: {last_words}")
        installed.write_text(requirements)
    return python
