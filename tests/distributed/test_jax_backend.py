"""The JAX backend of Keras on one device, in a process of its own."""

import json

import numpy as np
import pytest

from tests.distributed import runs
from tests.jax_process import run_on_jax
from tests.unit import token_wise_cases as cases

pytestmark = pytest.mark.slow


PROGRAM = """
import json
import keras
import numpy as np
from maskdata.compile_args import compile_args
from maskdata.metrics import TokenWise
from tests.distributed import runs
from tests.unit import token_wise_cases as cases

assert keras.backend.backend() == "jax"
# Without an Embedding: on TensorFlow, but not on JAX, Adam leaves out its rows that have no ids.
results = {name: runs.fit(1, **how, embedding=False) for name, how in runs.HOW.items()}
results = {name: (change.tolist(), log) for name, (change, log) in results.items()}

model = runs.make_model(masked=True)
model.compile("sgd", **compile_args(runs.LOSS, metrics=["accuracy"]))
for told_by in "mask", "weights":
    data = runs.dataset(1, weighted=False, masked=told_by == "mask")
    results[told_by] = model.evaluate(data, verbose=0, return_dict=True)
try:
    model.fit(runs.dataset(1, weighted=False, masked=True), verbose=0)
except ValueError as error:
    results["error"] = str(error)

for name in METRICS:
    metric = TokenWise(cases.make(name))
    for y_true, y_pred, weights, mask in cases.batches(name):
        metric.update_state(y_true, cases.masked(y_pred, mask), weights)
    results[name] = np.array(metric.result()).tolist()
print(json.dumps(results))
"""
METRICS = ["accuracy of classes", "AUC", "F1Score", "MeanIoU", "a function"]


@pytest.fixture(scope="module")
def results():
    return json.loads(run_on_jax(PROGRAM.replace("METRICS", repr(METRICS))))


@pytest.mark.parametrize("name", runs.HOW)
def test_fit_is_that_of_tensorflow(results, name):
    how = runs.HOW[name]
    expected = runs.truth(1, how["optimizer"], weighted=how["weighted"], embedding=False)
    errors = runs.relative_errors(results[name], expected)
    assert errors.pop("weights") < 1e-5
    assert max(errors.values()) < 1e-6


def test_evaluate_sees_the_masks_of_layers(results):
    assert results["mask"] == pytest.approx(results["weights"], rel=1e-6)


def test_fit_with_nothing_but_masks_of_layers_is_refused(results):
    # Keras hides them from metrics there.
    words = "TokenLoss: metrics must get the mask that the loss got, got none: on JAX, Keras' `fit`"
    assert results["error"].startswith(words)


@pytest.mark.parametrize("name", METRICS)
def test_metrics(results, name):
    expected = cases.on_unpadded_steps(name, weighted=True)
    np.testing.assert_allclose(results[name], expected, rtol=1e-6)
