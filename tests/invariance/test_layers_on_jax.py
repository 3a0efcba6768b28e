"""Every layer on the JAX backend, in a process of its own: as on TensorFlow, and without padding."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import maskdata
from tests.unit import every_layer

pytestmark = pytest.mark.slow

PROGRAM = """
import json
import jax
import keras
import numpy as np
from tests.unit import every_layer

assert keras.backend.backend() == "jax"
model = every_layer.functional()
batch = {name: jax.numpy.array(x) for name, x in every_layer.batch(filling=9.0).items()}


def value(h):
    found = model({"h": h, "mask": batch["mask"]})
    return every_layer.weighed_sum(found), found


(_, found), gradient = jax.jit(jax.value_and_grad(value, has_aux=True))(batch["h"])
values = every_layer.valid_values(found)
changes = [every_layer.train(6), every_layer.train(9, "left")]
print(json.dumps({
    "values": {" ".join(map(str, key)): value.tolist() for key, value in values.items()},
    "gradient": np.array(gradient).tolist(),
    "changes": [change.tolist() for change in changes],
}))
"""


@pytest.fixture(scope="module")
def results():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=pathlib.Path(maskdata.__file__).parents[1],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def expected():
    batch = every_layer.batch(filling=9.0)
    h, mask = tf.constant(batch["h"]), tf.constant(batch["mask"])
    with tf.GradientTape() as tape:
        tape.watch(h)
        found = every_layer.functional()({"h": h, "mask": mask})
        value = every_layer.weighed_sum(found)
    return every_layer.valid_values(found), tape.gradient(value, h)


@pytest.mark.parametrize("name", every_layer.NAMES)
def test_values_and_masks_are_those_of_tensorflow(results, expected, name):
    for key, values in expected[0].items():
        if key[0] == name:
            found = np.reshape(results["values"][" ".join(map(str, key))], values.shape)
            np.testing.assert_allclose(found, values, atol=1e-5)


def test_gradients_are_those_of_tensorflow(results, expected):
    np.testing.assert_allclose(results["gradient"], expected[1], rtol=1e-5, atol=1e-4)


def test_training_does_not_depend_on_padding(results):
    one, other = map(np.array, results["changes"])
    assert np.linalg.norm(other - one) < 1e-5 * np.linalg.norm(one)
