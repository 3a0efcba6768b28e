"""Models with a call that reads padding, mask or not."""

import keras
from keras import ops

from maskdata import layers as masked
from tests.invariance.planted import Planted, fault_of
from tests.invariance.small_models import (
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
FAULTS: dict[str, Planted] = {}
fault = fault_of(FAULTS)


@fault("culprit", "MaskedConv1D")
def same_convolution():
    return words(lambda h: pooled(layers.Conv1D(3, 3, padding="same", name="culprit")(h)))


@fault("culprit", "MaskedConv1D")
def bias_that_is_still_zero():
    def body(h):
        h = layers.Dense(3)(masked.MaskedConv1D(3, 3, padding="same")(h))  # gives 0 for padding
        return layers.Conv1D(3, 3, padding="same", name="culprit")(h)

    return words(body)


@fault("culprit", "GlobalMaxPooling1D")
def maximum_over_time():
    return words(lambda h: layers.Dense(2)(layers.GlobalMaxPooling1D(name="culprit")(h)))


@fault("culprit", "MaskedMaxPooling1D")
def same_max_pooling():
    return words(lambda h: layers.MaxPooling1D(2, 1, padding="same", name="culprit")(h))


@fault("culprit", "MaskedGroupNormalization")
def group_normalization():
    return words(lambda h: layers.GroupNormalization(2, name="culprit")(h))


@fault("culprit", "axis=-1")
def normalization_over_time():
    return words(lambda h: layers.UnitNormalization(axis=1, name="culprit")(h))


@fault("culprit", "go_backwards")
def recurrent_layer_backwards():
    return words(
        lambda h: layers.SimpleRNN(3, return_sequences=True, go_backwards=True, name="culprit")(h)
    )


@fault("culprit", "zero_output_for_mask")
def last_output_zeroed():
    return words(lambda h: layers.LSTM(3, zero_output_for_mask=True, name="culprit")(h))


@fault("get_item", "one vector")
def last_step_of_the_batch():
    return words(lambda h: layers.Dense(2)(h[:, -1]))


@fault("flip", "Bidirectional")
def reversed_by_hand():
    return words(lambda h: ops.flip(h, axis=1))


@fault("mean", "MaskedGlobalAveragePooling1D")
def mean_over_time():
    return words(lambda h: layers.Dense(2)(ops.mean(h, axis=1)))


@fault("/", "uses the mask")
def divided_by_the_padded_length():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs):
            h, mask = inputs["x"], ops.cast(inputs["x_mask"], "float32")
            return self.dense(ops.sum(h * mask[..., None], axis=1) / h.shape[1])

    data = batch()
    return Model(), {"x": data["numbers"], "x_mask": data["mask"]}


class SelfAttention(keras.layers.Layer):
    """Attention by hand; `masks` is what was forgotten."""

    def __init__(self, *, masks, **kwargs):
        super().__init__(**kwargs)
        self.masks, self.query, self.supports_masking = masks, layers.Dense(FEATURES), True

    def build(self, shape):
        self.query.build(shape)

    def call(self, h, mask=None):
        scores = ops.matmul(self.query(h), ops.transpose(h, (0, 2, 1)))
        if self.masks:
            scores = scores - 1e9 * (1.0 - ops.cast(mask, "float32")[:, None])
        return ops.matmul(ops.softmax(scores), h)


@fault("softmax", "MaskedSoftmax")
def attention_by_hand_without_mask():
    return words(lambda h: pooled(SelfAttention(masks=False)(h)))


@fault("culprit", "one vector")
def flattened():
    return words(lambda h: layers.Dense(2)(layers.Flatten(name="culprit")(h)), steps=STEPS)


@fault("culprit", "to 0 first")
def product_over_time():
    return words(lambda h: layers.Dot(axes=1, name="culprit")([h, h]))


@fault("culprit", "one_hot", mask="mask")
def bag_of_words():
    ids = keras.Input([None], dtype="int32", name="ids")
    bag = layers.CategoryEncoding(WORDS, output_mode="multi_hot", name="culprit")(ids)
    return keras.Model(ids, layers.Dense(2)(bag)), batch()["ids"]


@fault("culprit", "padding='same'")
def zeros_added_at_the_end():
    return words(lambda h: layers.Conv1D(2, 3)(layers.ZeroPadding1D(1, name="culprit")(h)))


@fault("culprit", "MaskedConv1D")
def convolution_in_a_nested_model():
    inner = keras.Sequential([layers.Conv1D(3, 3, padding="same", name="culprit")])
    return words(lambda h: inner(layers.Dense(FEATURES)(h)))


@fault("culprit", "in training")
def batch_normalization_without_a_mask():
    def body(h):
        h = layers.Conv1D(3, 1, name="culprit")(h)
        return layers.BatchNormalization()(h)

    return words(body)


@fault("culprit", "adds a loss")
def activity_regularizer():
    def body(h):
        return tagger(layers.Dense(3, activity_regularizer="l2", name="culprit")(h))

    return compiled(*words(body))
