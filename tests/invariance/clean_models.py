"""Models without a fault, some of which look like one."""

import keras
import numpy as np
from keras import ops

from maskdata import layers as masked
from tests.invariance.planted import Planted
from tests.invariance.read_padding import SelfAttention
from tests.invariance.small_models import (
    CLASSES,
    FEATURES,
    STEPS,
    WORDS,
    batch,
    compiled,
    pooled,
    tagger,
    words,
)

layers = keras.layers
CLEAN: dict[str, Planted] = {}


def clean(make):
    CLEAN[make.__name__] = Planted(make)
    return make


@clean
def classifier():
    model, x = words(lambda h: layers.Dense(CLASSES)(layers.LSTM(3)(h)))
    return compiled(model, x, y="classes", weights=None)


@clean
def bidirectional_tagger():
    rnn = layers.SimpleRNN(3, return_sequences=True)
    return compiled(*words(lambda h: tagger(layers.Bidirectional(rnn)(h))))


@clean
def transformer():
    def body(h):
        h = masked.PositionEmbedding(20)(h)
        attended = masked.MaskedMultiHeadAttention(1, 3)(h, h)
        h = layers.LayerNormalization()(layers.Add()([h, attended]))
        return tagger(masked.MaskedDropout(0.5)(h))

    return compiled(*words(body))


@clean
def convolutions():
    def body(h):
        h = masked.MaskedConv1D(3, 3, padding="same", strides=2)(h)
        h = masked.MaskedMaxPooling1D(2)(h)
        h = masked.MaskedGroupNormalization(1)(h)
        return layers.Dense(2)(masked.MaskedGlobalMaxPooling1D()(h))

    return words(body)


@clean
def mask_from_ids_that_are_never_zero():
    model = keras.Sequential(
        [layers.Embedding(WORDS, FEATURES, mask_zero=True), layers.GRU(3), layers.Dense(CLASSES)]
    )
    return compiled(model, batch()["ids"], y="classes", weights=None)


@clean
def zeros_of_a_masking_layer():
    # Masking gives zeros for padding, which is what the convolution sees at the end of a row.
    x = keras.Input([None, FEATURES], name="x")
    h = layers.Conv1D(3, 3, padding="same")(layers.Masking()(x))
    return compiled(keras.Model(x, tagger(h)), batch()["numbers"])


@clean
def mask_lost_where_weights_say_the_same():
    def body(h):
        h = layers.Conv1D(3, 2, padding="causal")(h) * 2.0
        return layers.TimeDistributed(layers.Dense(CLASSES))(h)

    return compiled(*words(body))


@clean
def attention_without_residual():
    return words(lambda h: pooled(layers.MultiHeadAttention(1, 3)(h, h)))


@clean
def attention_by_hand():
    return words(lambda h: pooled(SelfAttention(masks=True)(h)))


@clean
def mask_passed_by_hand():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding, self.rnn = layers.Embedding(WORDS, FEATURES), layers.SimpleRNN(3)

        def call(self, inputs):
            mask = ops.cast(inputs["ids_mask"], "bool")
            weights = ops.cast(mask, "float32")[..., None]
            h = self.embedding(inputs["ids"])
            mean = ops.sum(h * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)
            return ops.concatenate([mean, self.rnn(h, mask=mask)], axis=-1)

    data = batch()
    return Model(), {"ids": data["ids"], "ids_mask": data["mask"]}


@clean
def largest_score_of_all_slots():
    """Padding moves the largest score, and what is divided and multiplied by it does not care."""

    class Scores(keras.layers.Layer):
        def call(self, h, mask=None):
            valid = ops.cast(mask, "float32")[..., None]
            shares = ops.exp(h - ops.max(h, axis=1, keepdims=True)) * valid
            return ops.sum(h * valid * shares / ops.sum(shares, axis=1, keepdims=True), axis=1)

    return words(lambda h: Scores()(h))


@clean
def nested_models():
    inner = keras.Sequential([layers.Dropout(0.5), layers.SimpleRNN(3, return_sequences=True)])
    return compiled(*words(lambda h: tagger(inner(layers.LayerNormalization()(h)))))


@clean
def batch_normalization_with_dropout():
    return compiled(*words(lambda h: tagger(layers.Dropout(0.5)(layers.BatchNormalization()(h)))))


@clean
def encoder_and_decoder():
    source = keras.Input([None], dtype="int32", name="source")
    source_mask = keras.Input([None], dtype="int8", name="source_mask")
    target = keras.Input([None, FEATURES], name="target")
    target_mask = keras.Input([None], dtype="int8", name="target_mask")
    memory = masked.AttachMask()([layers.Embedding(WORDS, FEATURES)(source), source_mask])
    query = masked.AttachMask()([target, target_mask])
    for _ in range(2):
        found = masked.MaskedMultiHeadAttention(1, 3)(query, memory)
        query = layers.Add()([query, found])
    names = {"source": source, "source_mask": source_mask}
    names |= {"target": target, "target_mask": target_mask}
    data, more = batch(), batch((4, 1, 3, 2, 2), 4)
    x = {"source": data["ids"], "source_mask": data["mask"]}
    x |= {"target": more["numbers"], "target_mask": more["mask"]}
    return compiled(keras.Model(names, tagger(query)), x, data=more)


@clean
def padding_on_the_left():
    data = batch(left=True)
    rnn = layers.SimpleRNN(3, return_sequences=True)
    model, x = words(lambda h: tagger(rnn(masked.PositionEmbedding(9)(h))), data=data)
    return compiled(model, x, data=data)


@clean
def autoencoder():
    def body(h):
        code = layers.SimpleRNN(3)(h)
        return tagger(layers.SimpleRNN(3, return_sequences=True)(masked.RepeatVector()([code, h])))

    return compiled(*words(body), weights=None)


@clean
def fixed_length():
    return words(lambda h: pooled(h), steps=STEPS)


@clean
def mask_with_holes():
    data = batch()
    data["mask"][0, 2] = 0
    return words(lambda h: layers.SimpleRNN(3)(h), data=data)


@clean
def row_without_steps():
    return words(lambda h: masked.MaskedGlobalAveragePooling1D()(h), data=batch((6, 2, 0)))


@clean
def loop_over_time():
    class Loop(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.cell = layers.Dense(3, "tanh")

        def call(self, h, mask=None):
            state = ops.zeros_like(h[:, 0, :3])
            for step in range(h.shape[1]):
                new = self.cell(ops.concatenate([state, h[:, step]], axis=-1))
                state = ops.where(mask[:, step, None], new, state)
            return state

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding, self.attach = layers.Embedding(WORDS, FEATURES), masked.AttachMask()
            self.loop = Loop()

        def call(self, inputs):
            return self.loop(self.attach([self.embedding(inputs["ids"]), inputs["ids_mask"]]))

    data = batch()
    return Model(), {"ids": data["ids"], "ids_mask": data["mask"]}


@clean
def words_of_characters():
    chars = keras.Input([None, 3], dtype="int32", name="chars")
    mask = keras.Input([None], dtype="int8", name="chars_mask")
    inner = keras.Input([None, 3], dtype="int8", name="chars_mask_2")
    h = layers.Embedding(WORDS, FEATURES)(chars)
    weights = ops.cast(inner, "float32")[..., None]
    h = ops.sum(h * weights, axis=2)
    h = masked.AttachMask()([h, mask])
    data = batch()
    of_chars = np.repeat(data["mask"][..., None], 3, axis=2)
    of_chars[:, :, 2] *= data["ids"] % 2 == 0
    model = keras.Model([chars, mask, inner], layers.SimpleRNN(3)(h))
    return model, [np.repeat(data["ids"][..., None], 3, axis=2), data["mask"], of_chars]
