"""A batch of five padded rows, and small models for it, with room for a fault."""

import keras
import numpy as np

from maskdata import layers as masked
from maskdata.compile_args import compile_args

layers = keras.layers
LENGTHS = (6, 2, 4, 5, 1)
STEPS, WORDS, FEATURES, CLASSES = 6, 9, 4, 3


def batch(lengths=LENGTHS, steps=STEPS, *, left=False, zeros=False):
    """Return the features of a batch by name; there are words with id 0 only if `zeros`."""
    random = np.random.default_rng(0)
    mask = np.arange(steps) < np.array(lengths)[:, None]
    mask = mask[:, ::-1] if left else mask
    shape = mask.shape
    ids = random.integers(1, WORDS, shape)
    ids[0, -2] *= not zeros
    return {
        "ids": np.where(mask, ids, 0).astype("int32"),
        "numbers": np.where(mask[..., None], random.normal(size=(*shape, FEATURES)), 0.0).astype(
            "float32"
        ),
        "mask": mask.astype("int8"),
        "tags": np.where(mask, random.integers(0, CLASSES, shape), 0).astype("int32"),
        "weights": mask.astype("float32"),
        "classes": random.integers(0, CLASSES, len(lengths)).astype("int32"),
    }


def words(body, *, steps=None, data=None, mask_on_ids=False, more=()):
    """Return a functional model of ids and their mask, and its input."""
    ids = keras.Input([steps], dtype="int32", name="ids")
    mask = keras.Input([steps], dtype="int8", name="ids_mask")
    if mask_on_ids:
        h = body(masked.AttachMask()([ids, mask]))
    else:
        h = body(masked.AttachMask()([layers.Embedding(WORDS, FEATURES)(ids), mask]))
    data = data or batch()
    inputs = {tensor.name: tensor for tensor in (ids, mask, *more)}
    return keras.Model(inputs, h), {"ids": data["ids"], "ids_mask": data["mask"]}


def numbers(body, data=None):
    """Return a functional model of numbers and their mask, and its input."""
    x = keras.Input([None, FEATURES], name="x")
    mask = keras.Input([None], dtype="int8", name="x_mask")
    data = data or batch()
    model = keras.Model([x, mask], body(masked.AttachMask()([x, mask])))
    return model, [data["numbers"], data["mask"]]


def compiled(model, x, y="tags", weights="weights", data=None, **arguments):
    """Compile for labels, and return the whole batch."""
    data = data or batch()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", **(arguments or compile_args(loss=loss, metrics=["accuracy"])))
    given = (x, data[y]) if weights is None else (x, data[y], data[weights])
    return model, given


def pooled(h):
    return layers.Dense(2)(layers.GlobalAveragePooling1D()(h))


def tagger(h):
    return layers.Dense(CLASSES)(h)
