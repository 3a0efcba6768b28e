"""Every layer on the JAX backend, in a process of its own: as on TensorFlow, and without padding."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.invariance import test_packed_models as packed
from tests.jax_process import run_on_jax
from tests.unit import every_layer

pytestmark = pytest.mark.slow

PROGRAM = """
import json
import jax
import keras
import numpy as np
from tests.invariance.test_layers_on_jax import outputs_for_packed_rows
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
    "packed": {name: found.tolist() for name, found in outputs_for_packed_rows().items()},
}))
"""


def outputs_for_packed_rows():
    """Return what each model gives for packed rows, with weights that depend on nothing else."""
    outputs = {}
    features = packed.packed(packed.rows_for("encoder"), 9)
    inputs = {key: features[key].numpy() for key in packed.INPUTS}
    for name in packed.MODELS:
        model = packed.build(name)
        random = np.random.default_rng(0)
        model.set_weights([random.normal(size=w.shape) * 0.3 for w in model.get_weights()])
        found = np.array(model.predict(inputs, verbose=0))
        is_pooled = found.shape[1] == inputs["segment_mask"].shape[1]
        outputs[name] = found[inputs["segment_mask" if is_pooled else "tokens_segment_ids"] > 0]
    return outputs


@pytest.fixture(scope="module")
def results():
    return json.loads(run_on_jax(PROGRAM))


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


def test_outputs_for_packed_rows_are_those_of_tensorflow(results):
    for name, values in outputs_for_packed_rows().items():
        found = np.array(results["packed"][name])
        np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-5, err_msg=name)
