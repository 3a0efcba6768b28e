"""For every test, doctest and code block: two CPU devices, names at hand, a directory of its own."""

import os
import pathlib
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

import maskdata as md  # noqa: E402  TensorFlow takes logical devices only before its first use

# Not Phase.explain: it traces every line of TensorFlow, for minutes.
PHASES = [phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain]
hypothesis.settings.register_profile(
    "default",
    max_examples=25,
    phases=PHASES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("thorough", max_examples=500, deadline=None, phases=PHASES)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def _names_in_doctests(
    request: pytest.FixtureRequest, doctest_namespace: dict[str, Any], tmp_path: pathlib.Path
) -> Iterator[None]:
    doctest_namespace |= {"tf": tf, "np": np, "keras": keras, "md": md, "pathlib": pathlib}
    if isinstance(request.node, pytest.DoctestItem):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            yield
    else:
        yield
