"""TokenMean and TokenWise on replicas: all numbers are those of one device, however rows fall."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from maskdata.losses import TokenMean
from maskdata.metrics import TokenLoss, TokenWise
from tests.distributed import runs
from tests.preloaded import run_script


def wrong(actual, expected, tolerance=1e-6):
    """Return which numbers are off, and by how much."""
    errors = runs.relative_errors(actual, expected)
    return {name: error for name, error in errors.items() if not error < tolerance}


@pytest.mark.parametrize(
    ("optimizer", "told_by"),
    [
        ("sgd", "mask"),
        ("adam", "weights"),
        ("adam", "mask and weights"),
        ("sgd", "mask as weights"),
    ],
)
def test_fit_on_two_replicas_is_fit_on_one_device(optimizer, told_by):
    weighted = told_by in ("weights", "mask and weights")
    masked = told_by in ("mask", "mask and weights")
    actual = runs.fit(2, optimizer, weighted=weighted, masked=masked)
    assert not wrong(actual, runs.truth(2, optimizer, weighted=weighted))


@pytest.mark.parametrize(
    "how", [{"jit_compile": True}, {"steps_per_execution": 3}, {"run_eagerly": True}], ids=str
)
def test_fit_on_one_device_in_every_mode(how):
    actual = runs.fit(1, "sgd", weighted=True, masked=True, **how)
    assert not wrong(actual, runs.truth(1, "sgd", weighted=True))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_fit_on_two_replicas_in_mixed_precision(policy):
    actual = runs.fit(2, "sgd", weighted=True, masked=True, policy=policy)
    assert not wrong(actual, runs.truth(2, "sgd", weighted=True), tolerance=2e-2)


@pytest.mark.parametrize("run", [runs.one_step_at_a_time, runs.many_steps_at_a_time])
def test_custom_loops_on_two_replicas(run):
    change, losses = runs.in_loop(2, "adam", run)
    true_change, _, true_losses = runs.truth(2, "adam", weighted=False, embedding=False)
    assert np.linalg.norm(change - true_change) < 1e-6 * np.linalg.norm(true_change)
    np.testing.assert_allclose(losses, true_losses, rtol=1e-6)


@pytest.mark.slow
def test_fit_on_four_replicas_is_fit_on_one_device(tmp_path):
    printed = run_script(pathlib.Path(runs.__file__), "4", output=tmp_path / "printed")
    results = json.loads(printed)
    for name, how in runs.HOW.items():
        expected = runs.truth(4, how["optimizer"], weighted=how["weighted"])
        assert not wrong(results[name], expected)


# One row of errors for each replica: small integers make the mean exact.
ERRORS, MEAN = [[[1.0, 3.0]], [[6.0, 9.0]]], 10 / 3
STEP_WEIGHTS = [[[1.0, 1.0]], [[1.0, 0.0]]]


def per_replica(values):
    values = [tf.constant(value) for value in values]
    return runs.strategy(2).experimental_distribute_values_from_function(
        lambda context: values[context.replica_id_in_sync_group]
    )


def on_replicas(function, *values, graph=True):
    def run(*args):
        return runs.strategy(2).run(function, args)

    outputs = (tf.function(run) if graph else run)(*map(per_replica, values))
    return tf.nest.map_structure(
        lambda output: [x.numpy() for x in runs.strategy(2).experimental_local_results(output)],
        outputs,
        expand_composites=False,
    )


def value_and_gradients(errors, weights):
    with tf.GradientTape() as tape:
        tape.watch([errors, weights])
        value = TokenMean("mae")(tf.zeros_like(errors)[..., None], errors[..., None], weights)
    return value, *tape.gradient(value, [errors, weights])


@pytest.mark.parametrize("graph", [True, False])
def test_each_replica_has_its_share_of_the_gradient_and_an_equal_value(graph):
    values, of_errors, of_weights = on_replicas(
        value_and_gradients, ERRORS, STEP_WEIGHTS, graph=graph
    )
    assert values == [pytest.approx(MEAN / 2)] * 2
    np.testing.assert_allclose(of_errors, np.array(STEP_WEIGHTS) / 3, rtol=1e-6)
    # Weights that are learned get the whole gradient too; one at weight 0 gets none.
    np.testing.assert_allclose(
        np.array(of_weights)[np.ones(1) == STEP_WEIGHTS],
        [(1 - MEAN) / 3, (3 - MEAN) / 3, (6 - MEAN) / 3],
        rtol=1e-5,
    )


def test_a_replica_without_rows_or_without_valid_steps():
    weights = [[[1.0, 1.0]], [[0.0, 0.0]]]
    values, gradients, _ = on_replicas(value_and_gradients, ERRORS, weights)
    assert values == [1.0, 1.0]
    np.testing.assert_allclose(gradients, np.array(weights) / 2)

    nothing = np.zeros((0, 2), "float32")
    (values, gradients, _) = on_replicas(
        value_and_gradients, [ERRORS[0], nothing], [weights[0], nothing]
    )
    assert values == [1.0, 1.0]
    np.testing.assert_allclose(gradients[0], [[0.5, 0.5]])

    values, gradients, _ = on_replicas(value_and_gradients, ERRORS, np.zeros((2, 1, 2), "float32"))
    assert values == [0, 0]
    assert not np.any(gradients)


def test_nan_on_one_replica_is_seen_on_all():
    values, *_ = on_replicas(value_and_gradients, [[[np.nan, 3.0]], ERRORS[1]], STEP_WEIGHTS)
    assert np.isnan(values).all()


def test_outside_a_step_the_mean_is_that_of_the_tensors():
    y_pred = tf.constant([[[1.0], [3.0], [6.0]]])
    loss = TokenMean("mae")
    with runs.strategy(2).scope():
        assert loss(tf.zeros_like(y_pred), y_pred).numpy() == pytest.approx(MEAN)
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        assert loss(tf.zeros_like(y_pred), y_pred).numpy() == pytest.approx(MEAN)
    one_device = tf.distribute.OneDeviceStrategy("CPU:0")
    assert one_device.run(loss, (tf.zeros_like(y_pred), y_pred)).numpy() == pytest.approx(MEAN)


EVERYTHING = {"weights", "loss", "token_loss", "accuracy"}  # wrong weights spoil the next steps
FAULTS = {  # name -> replicas, what to replace, by what, which numbers must be off
    "mean of replica means": (
        2,
        "maskdata.losses.mean_over_replicas",
        lambda total, weight: ops.divide_no_nan(total, weight) / 2,
        EVERYTHING,
    ),
    "each replica's whole mean": (
        2,
        "maskdata.losses.mean_over_replicas",
        ops.divide_no_nan,
        EVERYTHING,
    ),
    "share of the gradient, divided once more": (
        2,
        "maskdata._replicas._sum_over_replicas",
        lambda values: ([2 * value for value in values], 2),
        EVERYTHING,
    ),
    "weights normalised twice": (
        1,
        "maskdata.losses.mean_over_replicas",
        lambda total, weight: ops.divide_no_nan(ops.divide_no_nan(total, weight), weight),
        EVERYTHING,
    ),
    "metric averaged per batch": (
        1,
        "maskdata._steps.end_to_end",
        lambda tensor, steps: tensor,
        {"accuracy"},
    ),
    "loss metric averaged per batch": (
        1,
        "maskdata.losses.TokenMean.sums",
        lambda *args, of=TokenMean.sums: (ops.divide_no_nan(*of(*args)), 1.0),
        {"token_loss"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(fault, monkeypatch):
    replicas, place, by, expected = FAULTS[fault]
    truth = runs.truth(replicas, "sgd", weighted=True)
    monkeypatch.setattr(place, by)
    how = {"run_eagerly": True} if replicas == 1 else {}
    actual = runs.fit(replicas, "sgd", weighted=True, masked=True, **how)
    assert set(wrong(actual, truth, tolerance=1e-3)) == expected


def test_metrics_made_outside_the_scope_are_refused():
    # Two replicas would read and write the same sums at the same time.
    for metric in (TokenLoss("mae"), TokenWise("mae")):
        name = type(metric).__name__
        with pytest.raises(ValueError, match=f"{name}: metrics must be made in the scope of the"):
            on_replicas(lambda y, m=metric: m.update_state(y[..., None], y[..., None]), ERRORS)


def test_keras_itself_depends_on_the_replicas():
    # What this is for; when it fails, Keras has changed.
    stock = keras.losses.MeanAbsoluteError(reduction="mean_with_sample_weight")
    values, *_ = on_replicas(
        lambda errors, weights: (
            stock(tf.zeros_like(errors)[..., None], errors[..., None], weights),
        ),
        ERRORS,
        STEP_WEIGHTS,
    )
    assert sum(values) == (2 + 6) / 2 != pytest.approx(MEAN)


def test_keras_itself_makes_one_step_per_execution_on_replicas():
    # https://github.com/keras-team/keras/issues/19246; when this fails, tell it in TokenMean.
    with runs.scope(2):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", steps_per_execution=2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="feed a value for placeholder"):
        model.fit(np.zeros((4, 1)), np.zeros((4, 1)), batch_size=2, verbose=0)
