"""audit: what it cannot judge, or not call by call, and says so."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from maskdata import layers as masked
from maskdata.audit import audit
from maskdata.compile_args import compile_args
from tests.invariance.small_models import batch, numbers, pooled, tagger, words

layers = keras.layers
pytestmark = [
    pytest.mark.usefixtures("same_weights"),
    # Said while the models are built.
    pytest.mark.filterwarnings("ignore:Layer .*does not support masking:UserWarning"),
]


def test_noise_of_training_is_told():
    report = audit(*words(lambda h: tagger(layers.Dropout(0.5, name="noisy")(h))))
    assert report.ok
    assert any("In training the noise of noisy depends on" in note for note in report.notes)
    for quiet in (masked.MaskedDropout(0.5), layers.SpatialDropout1D(0.5)):
        report = audit(*words(lambda h, quiet=quiet: tagger(quiet(h))))
        assert not any("noise" in note for note in report.notes), quiet


def test_layers_that_are_random_in_inference_are_not_blamed():
    class Noise(layers.Layer):
        def __init__(self, draw):
            super().__init__(name="noise")
            self.draw, self.supports_masking = draw, True

        def call(self, h):
            return h + self.draw(ops.shape(h))

    for draw in (keras.random.normal, tf.random.normal):
        report = audit(*words(lambda h, draw=draw: layers.GlobalMaxPooling1D()(Noise(draw)(h))))
        assert [problem.call.kind for problem in report.problems] == ["GlobalMaxPooling1D"]
        assert any("random in inference too" in note for note in report.notes)
        assert report.whole[0].why == "random in inference too"


def test_code_that_is_no_keras_call_is_located_between_calls():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.attach, self.dense = masked.AttachMask(), layers.Dense(3, name="after")

        def call(self, inputs):
            h = self.attach(inputs)
            return self.dense(h - tf.reduce_mean(h, axis=1, keepdims=True))

    data = batch()
    report = audit(Model(), [data["numbers"], data["mask"]])
    (problem,) = report.problems
    assert problem.name == "code before -"
    assert "sees layers, keras.ops and operators" in problem.advice


def test_code_after_the_last_call():
    class Model(keras.Model):
        def call(self, inputs):
            return tf.reduce_max(inputs["x"], axis=1)

    data = batch()
    report = audit(Model(name="mine"), {"x": data["numbers"], "x_mask": data["mask"]})
    assert [problem.name for problem in report.problems] == ["code of mine"]


def test_a_graph_function_is_judged_as_a_whole():
    class Centered(layers.Layer):
        def __init__(self):
            super().__init__(name="centered")
            self.supports_masking = True

        @tf.function
        def call(self, h):
            return h - tf.reduce_mean(h, axis=1, keepdims=True)

    report = audit(*words(lambda h: pooled(Centered()(h))))
    assert [problem.name for problem in report.problems] == ["centered"]


def test_calls_that_depend_on_the_data_are_judged_as_a_whole():
    class Model(keras.Model):
        def __init__(self):
            super().__init__(name="mine")
            self.attach = masked.AttachMask()

        def build(self, shapes):
            """Nothing: Keras would try the call with no data."""

        def call(self, inputs):
            h = self.attach(inputs)
            return ops.tanh(h) if float(ops.max(ops.abs(h))) > 5 else h

    data = batch()
    report = audit(Model(), [data["numbers"], data["mask"]])
    assert [problem.name for problem in report.problems] == ["code of mine"]
    assert any("mine: makes other calls inside" in note for note in report.notes)


def test_a_model_that_takes_one_length_only():
    class Six(layers.Layer):
        def call(self, h):
            if h.shape[1] != 6:
                raise RuntimeError("only six")
            return ops.sum(h, axis=1)

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.attach, self.six = masked.AttachMask(), Six(name="six")

        def call(self, inputs):
            return self.six(self.attach(inputs))

    data = batch()
    report = audit(Model(), [data["numbers"], data["mask"]])
    assert [problem.name.split(" (")[0] for problem in report.problems] == ["sum"]
    assert len([n for n in report.notes if n.endswith("RuntimeError: only six in six.")]) == 3


def test_nothing_could_be_tried():
    model, x = words(pooled, steps=6)
    full = {name: np.ones_like(array) for name, array in x.items()}
    report = audit(model, full)
    assert not report.ok
    assert "no other padding could be tried" in report.problems[0].what
    assert any("fixes the number of steps of ids" in note for note in report.notes)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_other_dtypes(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model, x = numbers(lambda h: tagger(layers.SimpleRNN(3, return_sequences=True)(h)))
        wrong, _ = numbers(lambda h: layers.GlobalMaxPooling1D()(layers.Dense(4)(h)))
    finally:
        keras.config.set_dtype_policy("float32")
    data = batch()
    model.compile("sgd", **compile_args("mse"))
    assert audit(model, (x, np.ones([5, 6, 3]), data["weights"])).ok
    assert not audit(wrong, x).ok


@pytest.mark.filterwarnings("error")
def test_warnings_of_masks_stay_inside_and_others_come_out():
    model, x = words(lambda h: layers.TimeDistributed(layers.Dense(2))(h))
    audit(model, x)

    class Warns(layers.Layer):
        def call(self, h):
            import warnings

            warnings.warn("mind the gap", stacklevel=1)
            return h

    model, x = words(layers.Dense(2))
    with pytest.warns(UserWarning, match="mind the gap"):
        audit(
            keras.Sequential([Warns(), layers.Dense(2)]), batch()["numbers"], mask=batch()["mask"]
        )
