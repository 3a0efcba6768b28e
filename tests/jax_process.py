"""Programs that run with the JAX backend of Keras: each needs a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# To make code faster takes XLA longer than to run it as it is, and tolerances are the same.
ENVIRONMENT = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_backend_optimization_level=0"}


def run_on_jax(program: str, *arguments: str) -> str:
    """Return what the program prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
