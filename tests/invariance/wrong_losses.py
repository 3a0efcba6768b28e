"""Models whose loss or metric counts padding."""

import keras
import numpy as np

from maskdata.compile_args import compile_args
from tests.invariance.planted import Planted, fault_of
from tests.invariance.small_models import FEATURES, STEPS, batch, compiled, tagger, words

layers = keras.layers
FAULTS: dict[str, Planted] = {}
fault = fault_of(FAULTS)


def _crossentropy(**kwargs):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, **kwargs)


@fault("loss", "compile_args", mask="mask")
def loss_divided_by_all_slots():
    x = keras.Input([None, FEATURES], name="x")
    model = keras.Model({"x": x}, tagger(x))
    return compiled(model, {"x": batch()["numbers"]}, loss=_crossentropy())


@fault("loss", "compile_args")
def ratio_of_sums():
    model, x = words(lambda h: layers.Dense(FEATURES, "sigmoid")(h))
    data = batch()
    model.compile("sgd", loss=keras.losses.Dice())
    return model, (x, np.ones_like(data["numbers"]))


@fault("accuracy", "TokenWise")
def metric_divided_by_the_padded_length():
    loss = compile_args(loss=_crossentropy())["loss"]
    return compiled(*words(tagger), loss=loss, weighted_metrics=["accuracy"])


@fault("loss", "compile_args")
def weights_of_rows_for_as_many_steps():
    data = batch(lengths=(6, 2, 4, 5, 1, 3))
    model, x = words(tagger, data=data)
    model.compile("sgd", loss=_crossentropy())
    return model, (x, data["tags"], np.arange(6, dtype="float32"))


@fault("loss", "compile_args")
def labels_without_the_last_axis():
    data = batch(lengths=(6, 2, 4, 5, 1, 3))
    model, x = words(lambda h: layers.Dense(1)(h), data=data)
    model.compile("sgd", loss="mse")
    return model, (x, data["tags"].astype("float32"))


@fault("loss", "counts padding")
def autoencoder_of_fixed_length():
    def body(h):
        code = layers.SimpleRNN(3)(h)
        return tagger(layers.SimpleRNN(3, return_sequences=True)(layers.RepeatVector(STEPS)(code)))

    return compiled(*words(body), weights=None)
