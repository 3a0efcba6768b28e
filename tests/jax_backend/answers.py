"""What the JAX backend of Keras gives, all of it from one process: each imports Keras and JAX anew.

`KERAS_BACKEND=jax python -m tests.jax_backend.answers` prints it.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import maskdata as md
from maskdata.audit import audit
from maskdata.metrics import TokenWise
from tests.distributed import runs
from tests.invariance import test_packed_models as packed
from tests.invariance.planted import name_of
from tests.invariance.planted_faults import CLEAN, FAULTS
from tests.laws import resumable_runs
from tests.unit import every_layer
from tests.unit import token_wise_cases as cases
from tests.unit.resumable_fits import StopAt, restarting

ROOT = Path(__file__).parents[2]
# To make code faster takes XLA longer than to run it as it is, and tolerances are the same.
ENVIRONMENT = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_backend_optimization_level=0"}

METRICS = ("accuracy of classes", "AUC", "F1Score", "MeanIoU", "a function")
AUDITED = (
    "maximum_over_time",
    "real_words_with_id_zero",
    "loss_divided_by_all_slots",
    "row_without_steps",
)


def ask() -> dict[str, Any]:
    """Return all the answers of a process with that backend."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.jax_backend.answers"],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def fits() -> dict[str, Any]:
    # Without an Embedding: on TensorFlow, but not on JAX, Adam leaves out its rows that have no ids.
    found = {name: runs.fit(1, **how, embedding=False) for name, how in runs.HOW.items()}
    return {name: (change.tolist(), log) for name, (change, log) in found.items()}


def evaluations() -> dict[str, Any]:
    """Return what `evaluate` says when layers or weights tell the padding, and why `fit` refuses."""
    model = runs.make_model(masked=True)
    model.compile("sgd", **md.compile_args(runs.LOSS, metrics=["accuracy"]))
    found: dict[str, Any] = {}
    for told_by in ("mask", "weights"):
        data = runs.dataset(1, weighted=False, masked=told_by == "mask")
        found[told_by] = model.evaluate(data, verbose=0, return_dict=True)
    try:
        model.fit(runs.dataset(1, weighted=False, masked=True), verbose=0)
    except ValueError as error:
        found["error"] = str(error)
    return found


def metric(name: str) -> Any:
    """Return the result over all batches, each taken in as Keras does in a step on JAX: compiled."""
    import jax

    made = TokenWise(cases.make(name))

    @jax.jit
    def update(variables: Any, y_true: Any, y_pred: Any, weights: Any, mask: Any) -> Any:
        y_pred = cases.masked(y_pred, mask)
        return made.stateless_update_state(variables, y_true, y_pred, weights)

    variables = [variable.value for variable in made.variables]
    for batch in cases.batches(name):
        variables = update(variables, *batch)
    return np.array(made.stateless_result(variables)).tolist()


def layers() -> dict[str, Any]:
    """Return values and gradient of a model with every layer."""
    import jax

    model = every_layer.functional()
    batch = {name: jax.numpy.array(x) for name, x in every_layer.batch(filling=9.0).items()}

    def value(h: Any) -> Any:
        found = model({"h": h, "mask": batch["mask"]})
        return every_layer.weighed_sum(found), found

    (_, found), gradient = jax.jit(jax.value_and_grad(value, has_aux=True))(batch["h"])
    values = every_layer.valid_values(found)
    return {
        "values": {" ".join(map(str, key)): value.tolist() for key, value in values.items()},
        "gradient": np.array(gradient).tolist(),
    }


def packed_rows() -> dict[str, Any]:
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
        valid = inputs["segment_mask" if is_pooled else "tokens_segment_ids"] > 0
        outputs[name] = found[valid].tolist()
    return outputs


def problem_names(name: str) -> list[str]:
    keras.utils.set_random_seed(1)
    planted = (CLEAN | FAULTS)[name]
    report = audit(*planted.make(), mask=planted.mask)
    return [name_of(problem) for problem in report.problems]


def resumed(directory: Path) -> dict[str, Any]:
    """Return how training ends that is not interrupted, and training that is."""
    plan = md.BatchPlan(
        resumable_runs.rows(),
        ["ids", "tags"],
        num_buckets=1,
        batch_size=8,
        seed=1,
        drop_remainder=True,
    )
    prepare = md.Chain(md.ToDense(lengths=8), resumable_runs.to_keras())  # one shape, compiled once
    model = resumable_runs.build_model(unseeded_noise=False)  # which Keras refuses on JAX
    untrained = restarting(model, prepare(plan.stream()))

    def end_of(name: str, *callbacks: keras.callbacks.Callback) -> Any:
        training = md.Resumable(directory / name, save_freq=2)
        history = training.fit(
            untrained(), plan, prepare, epochs=2, verbose=0, callbacks=list(callbacks)
        )
        return resumable_runs.digest_of(model), history.history

    whole = end_of("whole")
    with pytest.raises(KeyboardInterrupt):
        end_of("stopped", StopAt(5))
    return {"whole": whole, "stopped": end_of("stopped")}


def answers() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        return {
            "backend": keras.backend.backend(),
            "fit": fits(),
            "evaluate": evaluations(),
            "metrics": {name: metric(name) for name in METRICS},
            "layers": layers(),
            "training": [
                change.tolist() for change in (every_layer.train(6), every_layer.train(9, "left"))
            ],
            "packed": packed_rows(),
            "audit": {name: problem_names(name) for name in AUDITED},
            "resumed": resumed(Path(directory)),
        }


if __name__ == "__main__":
    print(json.dumps(answers()))  # noqa: T201  the tests read it
