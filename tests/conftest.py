"""For the tests here: TensorFlow runs graphs as they are."""

import os

import pytest
import tensorflow as tf


def pytest_configure(config: pytest.Config) -> None:
    """Turn grappler off, which must be before TensorFlow's first use: it takes most of an iterator.

    Benchmarks have it on, and so has a search for rare cases, which should find those of users.
    """
    if config.option.markexpr != "speed" and "HYPOTHESIS_PROFILE" not in os.environ:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
