"""Models whose masks fail, hide data, or meet a row without any."""

import keras
import numpy as np

from maskdata import layers as masked
from tests.invariance.planted import Planted, fault_of
from tests.invariance.small_models import (
    CLASSES,
    FEATURES,
    WORDS,
    batch,
    compiled,
    numbers,
    pooled,
    tagger,
    words,
)

layers = keras.layers
FAULTS: dict[str, Planted] = {}
fault = fault_of(FAULTS)


@fault("culprit", "fails with a mask")
def softmax_over_features():
    return words(lambda h: layers.Softmax(name="culprit")(layers.Dense(CLASSES)(h)))


@fault("culprit", "fails with a mask")
def softmax_over_as_many_features_as_steps():
    data = batch(lengths=(3,))
    data = {name: array[:, :5] if array.ndim > 1 else array for name, array in data.items()}
    return words(lambda h: layers.Softmax(name="culprit")(layers.Dense(5)(h)), data=data)


@fault("culprit", "fails with a mask")
def recurrent_layer_for_each_step():
    x = keras.Input([None, 2, FEATURES], name="x")
    mask = keras.Input([None], dtype="int8", name="x_mask")
    h = masked.AttachMask()([x, mask])
    h = layers.TimeDistributed(layers.SimpleRNN(3), name="culprit")(h)
    data = batch()
    values = np.stack([data["numbers"]] * 2, axis=2)
    return keras.Model([x, mask], h), [values, data["mask"]]


@fault("culprit", "hides 1 steps", mask="mask")
def real_words_with_id_zero():
    ids = keras.Input([None], dtype="int32", name="ids")
    h = layers.Embedding(WORDS, FEATURES, mask_zero=True, name="culprit")(ids)
    return keras.Model(ids, pooled(h)), batch(zeros=True)["ids"]


@fault("culprit", "hides")
def mask_replaced_by_an_embedding():
    def body(ids):
        return pooled(layers.Embedding(WORDS, FEATURES, mask_zero=True, name="culprit")(ids))

    return words(body, mask_on_ids=True, data=batch(zeros=True))


@fault("culprit", "NaN")
def average_of_a_row_without_steps():
    return words(lambda h: layers.GlobalAveragePooling1D(name="culprit")(h), data=batch((6, 2, 0)))


@fault("gradients", "finite")
def nan_in_the_padding():
    data = batch()
    data["numbers"] = np.where(data["mask"][..., None], data["numbers"], np.nan).astype("float32")
    model, x = numbers(lambda h: tagger(layers.SimpleRNN(3, return_sequences=True)(h)), data)
    return compiled(model, x)


@fault("inputs", "sorted order", mask="mask")
def tensor_that_the_model_does_not_declare():
    ids = keras.Input([None], dtype="int32", name="ids")
    h = layers.Embedding(WORDS, FEATURES)(ids)
    data = batch()
    x = {"an_id": data["tags"], "ids": data["ids"]}
    return keras.Model({"ids": ids}, layers.Dense(2)(h)), x
