"""Reading a dataset, quickly: to make an iterator takes long, and so can its end."""

import itertools
from typing import Any

import tensorflow as tf


def without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return the dataset for an iterator that is left before its end, as `fit` does.

    That can wait for tf.data's autotuning thread, which sleeps up to a minute (TensorFlow 2.21).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _nothing(spec: Any) -> Any:
    """Return the smallest value of this spec."""
    zeros = tf.zeros([size or 0 for size in spec.shape], spec.dtype)
    if isinstance(spec, tf.RaggedTensorSpec):
        return tf.RaggedTensor.from_tensor(
            zeros, ragged_rank=spec.ragged_rank, row_splits_dtype=spec.row_splits_dtype
        )
    return zeros


class Passes:
    """A dataset that is read again and again by one iterator: to make one takes up to 0.3 seconds."""

    def __init__(self, dataset: tf.data.Dataset) -> None:
        end = tf.nest.map_structure(_nothing, dataset.element_spec)
        is_end, no_end = (tf.data.Dataset.from_tensors(flag) for flag in (True, False))
        one_pass = tf.data.Dataset.zip((no_end.repeat(), dataset)).concatenate(
            tf.data.Dataset.zip((is_end, tf.data.Dataset.from_tensors(end)))
        )
        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False  # a pass begins when it is read
        self._passes = without_autotuning(one_pass.repeat()).with_options(options)
        self._iterator: Any = None

    def read(self) -> list[Any]:
        """Return the elements of the next pass."""
        iterator, self._iterator = self._iterator or iter(self._passes), None
        elements = [
            element for _, element in itertools.takewhile(lambda pair: not pair[0], iterator)
        ]
        self._iterator = iterator  # not after an error: the next pass begins anew
        return elements
