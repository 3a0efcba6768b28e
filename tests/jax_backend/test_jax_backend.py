"""The JAX backend of Keras on one device: as on TensorFlow, and without padding."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.distributed import runs
from tests.invariance.planted_faults import FAULTS
from tests.jax_backend.answers import AUDITED, METRICS, ask, packed_rows
from tests.unit import every_layer
from tests.unit import token_wise_cases as cases

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def on_jax() -> dict[str, Any]:
    answers = ask()
    assert answers["backend"] == "jax"
    return answers


@pytest.mark.parametrize("name", runs.HOW)
def test_fit_is_that_of_tensorflow(on_jax: dict[str, Any], name: str) -> None:
    how = runs.HOW[name]
    expected = runs.truth(1, how["optimizer"], weighted=how["weighted"], embedding=False)
    errors = runs.relative_errors(on_jax["fit"][name], expected)
    assert errors.pop("weights") < 1e-5
    assert max(errors.values()) < 1e-6


def test_evaluate_sees_the_masks_of_layers(on_jax: dict[str, Any]) -> None:
    found = on_jax["evaluate"]
    assert found["mask"] == pytest.approx(found["weights"], rel=1e-6)


def test_fit_with_nothing_but_masks_of_layers_is_refused(on_jax: dict[str, Any]) -> None:
    # Keras hides them from metrics there.
    words = "TokenLoss: metrics must get the mask that the loss got, got none: on JAX, Keras' `fit`"
    assert on_jax["evaluate"]["error"].startswith(words)


@pytest.mark.parametrize("name", METRICS)
def test_metrics(on_jax: dict[str, Any], name: str) -> None:
    expected = cases.on_unpadded_steps(name, weighted=True)
    np.testing.assert_allclose(on_jax["metrics"][name], expected, rtol=1e-6)


@pytest.fixture(scope="module")
def on_tensorflow() -> tuple[dict[Any, np.ndarray], tf.Tensor]:
    """Return values and gradient of the model with every layer."""
    batch = every_layer.batch(filling=9.0)
    h, mask = tf.constant(batch["h"]), tf.constant(batch["mask"])
    with tf.GradientTape() as tape:
        tape.watch(h)
        found = every_layer.functional()({"h": h, "mask": mask})
        value = every_layer.weighed_sum(found)
    return every_layer.valid_values(found), tape.gradient(value, h)


@pytest.mark.parametrize("name", every_layer.NAMES)
def test_values_and_masks_of_layers_are_those_of_tensorflow(
    on_jax: dict[str, Any], on_tensorflow: tuple[Any, Any], name: str
) -> None:
    for key, values in on_tensorflow[0].items():
        if key[0] == name:
            found = on_jax["layers"]["values"][" ".join(map(str, key))]
            np.testing.assert_allclose(np.reshape(found, values.shape), values, atol=1e-5)


def test_gradients_of_layers_are_those_of_tensorflow(
    on_jax: dict[str, Any], on_tensorflow: tuple[Any, Any]
) -> None:
    found = on_jax["layers"]["gradient"]
    np.testing.assert_allclose(found, on_tensorflow[1], rtol=1e-5, atol=1e-4)


def test_training_does_not_depend_on_padding(on_jax: dict[str, Any]) -> None:
    one, other = map(np.array, on_jax["training"])
    assert np.linalg.norm(other - one) < 1e-5 * np.linalg.norm(one)


def test_outputs_for_packed_rows_are_those_of_tensorflow(on_jax: dict[str, Any]) -> None:
    for name, values in packed_rows().items():
        found = on_jax["packed"][name]
        np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", AUDITED)
def test_the_audit_finds_the_same(on_jax: dict[str, Any], name: str) -> None:
    assert on_jax["audit"][name] == ([FAULTS[name].at] if name in FAULTS else [])


def test_stopped_training_ends_where_training_ends(on_jax: dict[str, Any]) -> None:
    assert on_jax["resumed"]["stopped"] == on_jax["resumed"]["whole"]
