"""Every layer of maskdata in one model, to be built once and run in many ways."""

import keras
import numpy as np
from keras import ops

from maskdata import layers
from maskdata.layers import AttachMask

FEATURES = 4
LENGTHS = [6, 3, 0, 1]


@keras.saving.register_keras_serializable(package="tests")
def doubled(h):
    return 2 * h


def make_layers():
    """Return one layer of each kind, and of each way in which it makes its mask."""
    return {
        "KeepMask": layers.KeepMask(keras.layers.EinsumDense("bld,de->ble", (None, 3))),
        "KeepMask, function": layers.KeepMask(doubled),
        "KeepMask, sum": layers.KeepMask(keras.layers.Add()),
        "KeepMask, model": layers.KeepMask(keras.Sequential([keras.layers.Dense(3)])),
        "PositionEmbedding": layers.PositionEmbedding(10),
        "MaskedDropout": layers.MaskedDropout(0.5, seed=1),
        "MaskedConv1D": layers.MaskedConv1D(3, 3, padding="same", activation="tanh"),
        "MaskedConv1D, strides": layers.MaskedConv1D(3, 3, padding="causal", strides=2),
        "MaskedAveragePooling1D": layers.MaskedAveragePooling1D(2, padding="same"),
        "MaskedMaxPooling1D": layers.MaskedMaxPooling1D(3, strides=1),
        "MaskedMultiHeadAttention": layers.MaskedMultiHeadAttention(2, 3, dropout=0.5, seed=1),
        "MaskedGroupNormalization": layers.MaskedGroupNormalization(2),
        "MaskedSoftmax": layers.MaskedSoftmax(axis=1),
        "TemporalSplit": layers.TemporalSplit([1, -1]),
        "MaskedGlobalAveragePooling1D": layers.MaskedGlobalAveragePooling1D(),
        "MaskedGlobalMaxPooling1D": layers.MaskedGlobalMaxPooling1D(keepdims=True),
        "RepeatVector": layers.RepeatVector(),
    }


NAMES = list(make_layers())


@keras.saving.register_keras_serializable(package="tests")
class ReadMask(keras.layers.Layer):
    """Return the mask of the input as numbers, or -1 if there is none."""

    def call(self, inputs, mask=None):
        return -ops.ones((1,)) if mask is None else ops.cast(mask, "float32")

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_spec(self, inputs, mask=None):
        return keras.KerasTensor((1,) if mask is None else mask.shape)


def outputs(made, h):
    """Return what the layers give for steps with a mask: name -> [value, its mask, ...]."""
    found = {}
    for name, layer in made.items():
        if name == "MaskedMultiHeadAttention":
            given = layer(h, h, use_causal_mask=True)
        elif name == "RepeatVector":
            given = layer([layers.MaskedGlobalAveragePooling1D()(h), h])
        elif name == "KeepMask, sum":
            given = layer([h, ops.tanh(h)])  # the second one has no mask
        else:
            given = layer(h)
        given = given if isinstance(given, list) else [given]
        found[name] = [x for value in given for x in (value, ReadMask()(value))]
    return found


def functional(made=None, **policy):
    """Return the functional model; its weights do not depend on the backend."""
    h = keras.Input((None, FEATURES), name="h")
    mask = keras.Input((None,), dtype="int8", name="mask")
    model = keras.Model(
        {"h": h, "mask": mask}, outputs(made or make_layers(), AttachMask()([h, mask]))
    )
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=w.shape) * 0.5 for w in model.get_weights()])
    return model


def batch(length=8, side="right", filling=1e30):
    """Return a padded batch with garbage in the padding; one row has no steps."""
    random = np.random.default_rng(1)
    h = np.full((len(LENGTHS), length, FEATURES), filling, "float32")
    mask = np.zeros((len(LENGTHS), length), "int8")
    for number, steps in enumerate(LENGTHS):
        slots = slice(steps) if side == "right" else slice(length - steps, length)
        h[number, slots], mask[number, slots] = random.normal(size=(steps, FEATURES)), 1
    return {"h": h, "mask": mask}


def valid_values(found, lengths=LENGTHS):
    """Return the values at the valid steps of every output: name -> arrays."""
    values = {}
    for name, tensors in found.items():
        tensors = [np.asarray(ops.cast(tensor, "float32")) for tensor in tensors]
        for number, (value, mask) in enumerate(zip(tensors[::2], tensors[1::2], strict=True)):
            values[name, number] = value if mask.ndim == 1 else value[mask == 1]
    return values


STOCK = {
    "position": lambda: lambda h: h,
    "dropout": lambda: keras.layers.Dropout(0.3, seed=1),
    "attention": lambda: keras.layers.MultiHeadAttention(2, 3, dropout=0.3, seed=1),
    "sum": keras.layers.Add,
    "normalization": lambda: keras.layers.GroupNormalization(2),
    "convolution": lambda: keras.layers.Conv1D(4, 3, padding="same"),
    "pooling": lambda: keras.layers.MaxPooling1D(2, padding="same"),
    "narrowing": lambda: keras.layers.Conv1D(4, 2, strides=2, padding="same"),
    "average": keras.layers.GlobalAveragePooling1D,
    "largest": keras.layers.GlobalMaxPooling1D,
}
MASKED = {
    "position": lambda: layers.PositionEmbedding(10),
    "dropout": lambda: layers.MaskedDropout(0.3, seed=1),
    "attention": lambda: layers.MaskedMultiHeadAttention(2, 3, dropout=0.3, seed=1),
    "sum": lambda: layers.KeepMask(keras.layers.Add()),
    "normalization": lambda: layers.MaskedGroupNormalization(2),
    "convolution": lambda: layers.MaskedConv1D(4, 3, padding="same"),
    "pooling": lambda: layers.MaskedMaxPooling1D(2, padding="same"),
    "narrowing": lambda: layers.MaskedConv1D(4, 2, strides=2, padding="same"),
    "average": layers.MaskedGlobalAveragePooling1D,
    "largest": layers.MaskedGlobalMaxPooling1D,
}


def train(length, side="right", of=MASKED, **how):
    """Return the change of the weights after some steps of training on one padded batch."""
    made = {name: make() for name, make in of.items()}
    inputs, mask = keras.Input((None, FEATURES), name="h"), keras.Input((None,), name="mask")
    h = made["position"](AttachMask()([inputs, mask]))
    h = made["dropout"](h)
    h = made["sum"]([h, made["attention"](h, h)])
    h = made["convolution"](made["normalization"](h))
    h = made["narrowing"](made["pooling"](h))
    h = keras.layers.Concatenate()([made["average"](h), made["largest"](h)])
    model = keras.Model({"h": inputs, "mask": mask}, keras.layers.Dense(2)(h))
    random = np.random.default_rng(2)
    start = [random.normal(size=w.shape).astype("float32") * 0.5 for w in model.get_weights()]
    model.set_weights(start)
    model.compile(keras.optimizers.SGD(0.01), "mse", **how)
    for _ in range(3):
        model.train_on_batch(
            batch(length, side, filling=9.0), random.normal(size=(len(LENGTHS), 2))
        )
    changes = zip(model.get_weights(), start, strict=True)
    return np.concatenate([np.ravel(after - before) for after, before in changes])


def weighed_sum(found):
    """Return a number that depends on every value at a valid step of every output."""
    total = 0.0
    for tensors in found.values():
        for value, mask in zip(tensors[::2], tensors[1::2], strict=True):
            if len(mask.shape) == 2:
                value = value * ops.expand_dims(mask, -1)
            total = total + ops.sum(ops.sin(3 * value))
    return total
