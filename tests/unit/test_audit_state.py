"""An audit leaves no trace: model, optimizer, metrics, random numbers, and Keras itself."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from maskdata import layers as masked
from maskdata.audit import audit
from maskdata.compile_args import compile_args
from tests.invariance.small_models import FEATURES, batch

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:Layer .*does not support masking:UserWarning")


class Unseeded(layers.Layer):
    """Draws from the generator that Keras keeps for itself, in inference too."""

    def __init__(self):
        super().__init__()
        self.supports_masking = True
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, h):
        self.calls.assign_add(1.0)
        return h + 1e-3 * keras.random.normal(ops.shape(h))


def trained():
    """Return a model with all kinds of state, and its batch, after a step of training."""
    keras.utils.set_random_seed(5)
    x = keras.Input([None, FEATURES], name="x")
    mask = keras.Input([None], dtype="int8", name="x_mask")
    h = masked.AttachMask()([x, mask])
    h = layers.BatchNormalization()(layers.Dense(4)(h))
    h = layers.Dropout(0.5)(Unseeded()(h))
    h = layers.Conv1D(3, 3, padding="same", activity_regularizer="l2")(h)
    model = keras.Model([x, mask], h)
    model.compile("adam", **compile_args("mse", metrics=["mae"]), run_eagerly=True)
    data = batch()
    targets = np.random.default_rng(0).normal(size=(5, 6, 3)).astype("float32")
    given = [data["numbers"], data["mask"]], targets, data["weights"]
    model.fit(*given[:2], sample_weight=given[2], verbose=0)
    return model, given


def state(model):
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [np.asarray(variable.numpy()).tobytes() for variable in variables]


def draws():
    return [
        random.random(),
        np.random.rand(),
        tf.random.uniform([]).numpy(),
        np.asarray(keras.random.uniform([2])).tolist(),
    ]


def test_nothing_changes_bit_by_bit():
    model, given = trained()
    before = state(model)
    assert len(before) > 20
    generator = tf.random.get_global_generator().state.numpy().tolist()
    report = audit(model, given)
    assert len(report.problems) == 1
    assert state(model) == before
    assert tf.random.get_global_generator().state.numpy().tolist() == generator


def test_what_comes_afterwards_is_the_same_as_without():
    with_audit, given = trained()
    audit(with_audit, given)
    one = draws()
    with_audit.fit(*given[:2], sample_weight=given[2], verbose=0)
    without, given = trained()
    other = draws()
    without.fit(*given[:2], sample_weight=given[2], verbose=0)
    assert one == other
    assert state(with_audit) == state(without)


def test_metrics_that_keras_makes_when_first_used_start_at_zero():
    model = keras.Sequential([keras.Input([None, FEATURES]), layers.Dense(3, "softmax")])
    model.compile("sgd", "mse", metrics=["accuracy"], weighted_metrics=["mae"])
    data = batch()
    given = data["numbers"], np.eye(3)[data["tags"]], data["weights"]
    audit(model, given, mask=data["mask"])
    assert all(float(value) == 0 for value in model.get_metrics_result().values())


def test_an_unbuilt_model_is_built_as_its_first_call_builds_it():
    def make():
        keras.utils.set_random_seed(7)
        return keras.Sequential([layers.Dense(3), layers.Dropout(0.5), layers.SimpleRNN(2)])

    audited, called, data = make(), make(), batch()
    audit(audited, data["numbers"], mask=data["mask"])
    after_audit = random.random()
    make()
    assert random.random() == after_audit
    called(data["numbers"])
    for one, other in zip(audited.get_weights(), called.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def methods():
    operators = [vars(tf.Tensor)[name] for name in ("__add__", "__getitem__", "__matmul__")]
    called = [
        keras.layers.Layer.__call__,
        keras.Operation.__call__,
        keras.random.SeedGenerator.next,
    ]
    return [*operators, *called, *vars(ops).values()]


@pytest.mark.parametrize("mask", ["mask", None])
def test_keras_is_itself_again_even_after_an_error(mask):
    before = methods()
    name = masked.AttachMask().name
    model, data = keras.Sequential([layers.SimpleRNN(2)]), batch()
    if mask is None:
        with pytest.raises(ValueError, match="must say which steps are padding"):
            audit(model, data["numbers"])
    else:
        audit(model, data["numbers"], mask=data[mask])
    assert methods() == before
    number = int(name.split("_")[-1]) if name[-1].isdigit() else 0
    assert masked.AttachMask().name == f"attach_mask_{number + 1}"


def test_a_model_in_another_thread_is_not_recorded():
    import threading

    class Slow(keras.Model):
        """While it runs, another thread calls layers too."""

        def __init__(self):
            super().__init__()
            self.attach, self.dense, self.other = (
                masked.AttachMask(),
                layers.Dense(3),
                layers.Dense(2),
            )

        def call(self, inputs):
            thread = threading.Thread(target=lambda: self.other(tf.ones([1, 2])) + 1.0)
            thread.start()
            thread.join()
            return self.dense(self.attach(inputs))

    data = batch()
    report = audit(Slow(), [data["numbers"], data["mask"]])
    assert [call.kind for call in report.calls] == ["AttachMask", "Dense"]
    assert report.ok
