"""PrefetchToDevice: batches wait on the device, and their number stays known."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import maskdata as md

ROWS = md.from_rows(
    {"x": np.arange(12.0, dtype=np.float32).reshape(6, 2), "y": np.ones(6)}, block_size=2
)


def devices(element: Any) -> set[str]:
    return {tensor.device.rpartition("/")[2] for tensor in tf.nest.flatten(element)}


@pytest.mark.parametrize("device", ["/CPU:1", "CPU:1", "/device:CPU:1", "/cpu:1"])
@pytest.mark.parametrize("buffer_size", [None, 1, 2])
def test_dicts_wait_on_the_device(device: str, buffer_size: int | None) -> None:
    waiting = ROWS.apply(md.PrefetchToDevice(device, buffer_size))
    assert int(waiting.cardinality()) == 3
    assert waiting.element_spec == ROWS.element_spec
    for _ in range(2):
        elements = list(waiting)
        assert [devices(element) for element in elements] == [{"device:CPU:1"}] * 3
        assert (
            np.concatenate([e["x"] for e in elements]).tolist()
            == np.arange(12.0).reshape(6, 2).tolist()
        )


def test_tuples_too_and_fit_counts_its_steps() -> None:
    waiting = ROWS.apply(
        md.Chain(md.ToKeras(x="x", y="y", sample_weight="y"), md.PrefetchToDevice("/CPU:1"))
    )
    assert [devices(element) for element in waiting] == [{"device:CPU:1"}] * 3
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(waiting, epochs=3, verbose=0)
    assert int(model.optimizer.iterations) == 9


def test_unknown_cardinality_stays_unknown() -> None:
    waiting = ROWS.filter(lambda rows: True).apply(md.PrefetchToDevice("/CPU:1"))
    assert int(waiting.cardinality()) == tf.data.UNKNOWN_CARDINALITY
    assert len(list(waiting)) == 3


def test_without_a_gpu_batches_are_prefetched_on_the_host() -> None:
    for buffer_size in (None, 2):
        waiting = ROWS.apply(md.PrefetchToDevice(buffer_size=buffer_size))
        assert int(waiting.cardinality()) == 3
        assert [devices(element) for element in waiting] == [{"device:CPU:0"}] * 3


def test_tf_data_forgets_the_cardinality() -> None:
    stock = ROWS.apply(tf.data.experimental.prefetch_to_device("/CPU:1"))
    assert int(stock.cardinality()) == tf.data.UNKNOWN_CARDINALITY
