"""Models with one known fault each, and models with none: what the audit must tell apart."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from maskdata import layers as masked
from maskdata.compile_args import compile_args

layers = keras.layers
LENGTHS = (6, 2, 4, 5, 1)
STEPS, WORDS, FEATURES, CLASSES = 6, 9, 4, 3


@dataclass(frozen=True)
class Planted:
    """A model, a batch, and what the audit must say.

    Attributes:
        make: Returns the model and the batch.
        at: The name that each problem must have; operations have one of their own.
        says: Words of the problem or its advice.
        mask: The argument of the audit.
    """

    make: Callable[[], tuple[keras.Model, Any]]
    at: str = ""
    says: str = ""
    mask: Any = None


FAULTS: dict[str, Planted] = {}
CLEAN: dict[str, Planted] = {}


def fault(at: str, says: str, mask: str = "") -> Callable[[Any], Any]:
    def add(make: Any) -> Any:
        FAULTS[make.__name__] = Planted(make, at, says, batch()[mask] if mask else None)
        return make

    return add


def clean(make: Any) -> Any:
    CLEAN[make.__name__] = Planted(make)
    return make


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


# Masks that are lost.


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


# Calls that read padding, mask or not.


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


# Masks that fail, hide data, or meet a row without any.


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


# Losses and metrics.


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


# Nothing is wrong with these.


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
