"""Models that lose a mask."""

import keras
from keras import ops

from maskdata import layers as masked
from tests.invariance.planted import Planted, fault_of
from tests.invariance.small_models import FEATURES, WORDS, batch, compiled, pooled, tagger, words

layers = keras.layers
FAULTS: dict[str, Planted] = {}
fault = fault_of(FAULTS)


@fault("add", "drops silently; then")
def operator_on_a_masked_tensor():
    return words(lambda h: pooled(h + 1.0))


@fault("concatenate", "KeepMask")
def function_of_keras_ops():
    return words(lambda h: pooled(ops.concatenate([h, h], axis=-1)))


@fault("get_item", "AttachMask")
def slice_of_features():
    return words(lambda h: pooled(h[..., :2]))


@fault("culprit", "MaskedMultiHeadAttention")
def attention_in_front_of_a_residual_sum():
    def body(h):
        return tagger(layers.Add()([h, layers.MultiHeadAttention(1, 3, name="culprit")(h, h)]))

    return compiled(*words(body), weights=None)


@fault("culprit", "MaskedMultiHeadAttention")
def two_decoder_layers_on_one_memory():
    def body(h):
        query = layers.Dense(FEATURES)(queries)
        query = layers.Add()([query, layers.MultiHeadAttention(1, 3, name="culprit")(query, h)])
        return layers.MultiHeadAttention(1, 3)(query, h)

    queries = keras.Input([2, FEATURES], name="queries")
    model, x = words(body, more=[queries])
    return model, x | {"queries": batch()["numbers"][:, :2]}


@fault("culprit", "AttachMask")
def attention_with_query_mask_only():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = layers.Embedding(WORDS, FEATURES)
            self.attention = layers.MultiHeadAttention(1, 3, name="culprit")

        def call(self, inputs):
            h = self.embedding(inputs["ids"])
            return self.attention(h, h, query_mask=ops.cast(inputs["ids_mask"], "bool"))

    data = batch()
    return Model(), {"ids": data["ids"], "ids_mask": data["mask"]}


@fault("culprit", "drops with a warning")
def mask_in_front_of_an_embedding():
    def body(ids):
        return pooled(layers.Embedding(WORDS, FEATURES, name="culprit")(ids))

    return words(body, mask_on_ids=True)


@fault("culprit", "drops with a warning")
def causal_convolution_in_front_of_pooling():
    return words(lambda h: pooled(layers.Conv1D(3, 2, padding="causal", name="culprit")(h)))


@fault("culprit", "drops with a warning")
def valid_convolution_in_front_of_pooling():
    return words(lambda h: pooled(layers.Conv1D(3, 2, name="culprit")(h)))


@fault("culprit", "KeepMask")
def rms_normalization():
    return words(lambda h: pooled(layers.RMSNormalization(name="culprit")(h)))


@fault("culprit", "KeepMask")
def einsum_dense():
    return words(lambda h: pooled(layers.EinsumDense("btd,de->bte", (None, 3), name="culprit")(h)))


class Gelu(keras.layers.Layer):
    """A layer as people write it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)

    def call(self, h):
        return ops.gelu(self.dense(h)) * 2.0


@fault("culprit", "supports_masking")
def layer_of_your_own():
    return words(lambda h: pooled(Gelu(name="culprit")(h)))


@fault("culprit", "KeepMask")
def sum_with_one_masked_input():
    def body(h):
        return pooled(layers.Add(name="culprit")([h, layers.Dense(FEATURES)(x)]))

    x = keras.Input([None, FEATURES], name="x")
    model, inputs = words(body, more=[x])
    return model, inputs | {"x": batch()["numbers"]}


@fault("culprit", "KeepMask")
def concatenation_with_one_masked_input():
    x = keras.Input([None, FEATURES], name="x")
    model, inputs = words(lambda h: pooled(layers.Concatenate(name="culprit")([h, x])), more=[x])
    return model, inputs | {"x": batch()["numbers"]}


@fault("culprit", "drops by design")
def mask_ended_too_early():
    return words(lambda h: pooled(masked.DropMask(name="culprit")(h)))


@fault("culprit", "no mask reaches it", mask="mask")
def mask_never_attached():
    x = keras.Input([None, FEATURES], name="x")
    model = keras.Model(x, layers.SimpleRNN(3, name="culprit")(x))
    return model, batch()["numbers"]


@fault("+", "drops silently")
def operator_in_a_subclassed_model():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = layers.Embedding(WORDS, FEATURES, mask_zero=True)
            self.dense, self.rnn = layers.Dense(FEATURES), layers.SimpleRNN(3)

        def call(self, ids):
            h = self.embedding(ids)
            h = h + self.dense(h)
            return self.rnn(h)

    return Model(), batch()["ids"]
