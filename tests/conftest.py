"""For the tests here: TensorFlow runs graphs as they are."""

import os

import keras
import pytest
import tensorflow as tf


def pytest_configure(config: pytest.Config) -> None:
    """Turn grappler off, which must be before TensorFlow's first use: it takes most of an iterator.

    Benchmarks have it on, and so has a search for rare cases, which should find those of users.
    """
    if config.option.markexpr != "speed" and "HYPOTHESIS_PROFILE" not in os.environ:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture
def same_weights() -> None:
    """Let each test build its models with the same weights, whichever run before it."""
    keras.utils.set_random_seed(1)


@pytest.fixture(autouse=True)
def _own_collective_keys() -> None:
    """Let no two strategies of a process wait for each other, as TensorFlow's own tests do.

    The operations between replicas have numbers, and those of each strategy begin at the same one.
    """
    tf.distribute.MirroredStrategy._collective_key_base += 100_000


@pytest.fixture(autouse=True)
def _no_seed_of_another_test() -> None:
    """Let a test that sets TensorFlow's global seed not seed the stock shuffles of those after it."""
    tf.random.set_seed(None)
