"""For every test, doctest and code block: two CPU devices, names at hand, a directory of its own."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

from sybil import Sybil  # noqa: E402
from sybil.parsers.markdown import PythonCodeBlockParser  # noqa: E402

import maskdata as md  # noqa: E402  TensorFlow takes logical devices only before its first use

# Not Phase.explain: it traces every line of TensorFlow, for minutes.
PHASES = [phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain]
hypothesis.settings.register_profile(
    "default",
    max_examples=15,
    phases=PHASES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("thorough", max_examples=500, deadline=None, phases=PHASES)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


NAMES = {"tf": tf, "np": np, "keras": keras, "md": md, "pathlib": pathlib}


@pytest.fixture(autouse=True)
def _names_and_directory_of_examples(
    request: pytest.FixtureRequest, doctest_namespace: dict[str, Any], tmp_path: pathlib.Path
) -> Iterator[None]:
    doctest_namespace |= NAMES
    is_doctest = isinstance(request.node, pytest.DoctestItem)
    with contextlib.chdir(tmp_path) if is_doctest else contextlib.nullcontext():
        yield


def _in_a_directory_of_its_own(namespace: dict[str, Any]) -> None:
    keras.utils.clear_session(free_memory=False)  # layers are named as if no page came before
    directory = tempfile.TemporaryDirectory()
    namespace |= {"_directory": directory, "_back": contextlib.chdir(directory.name)}
    namespace["_back"].__enter__()


def _back_home(namespace: dict[str, Any]) -> None:
    namespace["_back"].__exit__(None, None, None)
    namespace["_directory"].cleanup()


# Every code block of a page is run, one after the other, as a reader would.
pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["*.md"],
    setup=_in_a_directory_of_its_own,
    teardown=_back_home,
).pytest()
