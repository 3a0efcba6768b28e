"""AttachMask: the mask arrives, whatever its dtype, and stays through every kind of model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata.layers import AttachMask

KERAS_SAVES_WITH_OLD_NUMPY_PROTOCOL = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)

IDS = np.array([[3, 0, 5, 9], [0, 9, 9, 9]])  # 0 is a real token, 9 stands in the padding
MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0]])
ROWS = [[3, 0, 5], [0]]


def mask_of(tensor):
    return getattr(tensor, "_keras_mask", None)


def unpadded_outputs(embedding, lstm):
    embedded = [
        keras.ops.copy(embedding(np.array([row]))) for row in ROWS
    ]  # without mask_zero's mask
    return np.concatenate([lstm(row) for row in embedded])


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int32", "int64", "float16", "float32", "float64"]
)
def test_any_dtype_becomes_a_bool_mask(dtype):
    h = tf.random.normal((2, 4, 3))
    out = AttachMask()([h, tf.cast(MASK, dtype)])
    assert mask_of(out).dtype == tf.bool
    np.testing.assert_array_equal(mask_of(out), MASK == 1)
    np.testing.assert_array_equal(out, h)


def test_any_nonzero_number_means_data():
    out = AttachMask()([tf.ones((1, 4, 2)), tf.constant([[-1.0, 0.5, 0.0, float("nan")]])])
    assert mask_of(out).numpy().tolist() == [[True, True, False, True]]


@pytest.mark.parametrize(
    ("shape", "mask_shape"), [((2, 4, 3, 5), (2, 4, 3)), ((2, 4, 3), (2,)), ((2, 4), (2, 4))]
)
def test_the_mask_may_have_any_number_of_leading_axes(shape, mask_shape):
    mask = np.random.default_rng(0).integers(0, 2, mask_shape)
    np.testing.assert_array_equal(mask_of(AttachMask()([tf.ones(shape), mask])), mask == 1)


def test_a_mask_that_is_already_there_is_replaced_on_the_output_only():
    h = keras.layers.Masking()(tf.constant([[[1.0], [0.0]]]))
    out = AttachMask()([h, tf.constant([[0, 1]])])
    assert mask_of(out).numpy().tolist() == [[False, True]]
    assert mask_of(h).numpy().tolist() == [[True, False]]


def test_attaching_twice_leaves_the_last_mask():
    once = AttachMask()([tf.ones((1, 2, 1)), tf.constant([[1, 0]])])
    twice = AttachMask()([once, tf.constant([[0, 1]])])
    assert mask_of(twice).numpy().tolist() == [[False, True]]
    assert mask_of(once).numpy().tolist() == [[True, False]]


def test_keras_destroys_a_mask_in_front_of_an_embedding():
    # Why the layer goes after the embedding; when this fails, Keras has changed.
    ids = AttachMask()([tf.constant(IDS), tf.constant(MASK)])
    with pytest.warns(UserWarning, match="destroy the mask"):
        assert mask_of(keras.layers.Embedding(10, 2)(ids)) is None
    replaced = mask_of(keras.layers.Embedding(10, 2, mask_zero=True)(ids))
    np.testing.assert_array_equal(replaced, IDS != 0)


def layers():
    keras.utils.set_random_seed(1)
    return keras.layers.Embedding(10, 4, mask_zero=True), keras.layers.LSTM(3)


def functional_model(embedding, lstm, mask_dtype="int8"):
    ids = keras.Input((None,), dtype="int32", name="ids")
    mask = keras.Input((None,), dtype=mask_dtype, name="mask")
    return keras.Model([ids, mask], lstm(AttachMask()([embedding(ids), mask])))


def nested_model(embedding, lstm):
    ids = keras.Input((None,), dtype="int32")
    mask = keras.Input((None,), dtype="int8")
    return keras.Model([ids, mask], functional_model(embedding, lstm)([ids, mask]))


def attached_outside_model(embedding, lstm):
    h, mask = keras.Input((None, 4)), keras.Input((None,), dtype="int8")
    reader = keras.Sequential([keras.layers.Dropout(0.5), lstm])
    attached = keras.Model([h, mask], reader(AttachMask()([h, mask])))
    ids = keras.Input((None,), dtype="int32")
    return keras.Model([ids, mask], attached([embedding(ids), mask]))


def subclassed_model(embedding, lstm):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding, self.attach, self.lstm = embedding, AttachMask(), lstm

        def call(self, inputs):
            ids, mask = inputs
            return self.lstm(self.attach([self.embedding(ids), mask]))

    return Subclassed()


@pytest.mark.parametrize("run", ["eager", "predict", "jit"])
@pytest.mark.parametrize("build", [functional_model, nested_model, subclassed_model])
def test_models_see_the_unpadded_sequences(build, run):
    embedding, lstm = layers()
    model = build(embedding, lstm)
    if run == "eager":
        outputs = model([IDS, MASK.astype("int8")])
    else:
        model.compile(jit_compile=run == "jit")
        outputs = model.predict([IDS, MASK.astype("int8")], verbose=0)
    np.testing.assert_allclose(outputs, unpadded_outputs(embedding, lstm), atol=1e-6)


@pytest.mark.filterwarnings(
    "ignore:Layer .*does not support masking:UserWarning"
)  # Keras' false alarm
def test_the_mask_crosses_into_a_nested_sequential():
    embedding, lstm = layers()
    outputs = attached_outside_model(embedding, lstm)([IDS, MASK.astype("int8")])
    np.testing.assert_allclose(outputs, unpadded_outputs(embedding, lstm), atol=1e-6)


@pytest.mark.parametrize("mask_dtype", ["bool", "int8", "float32"])
@KERAS_SAVES_WITH_OLD_NUMPY_PROTOCOL
def test_saved_and_cloned_models_keep_it(tmp_path, mask_dtype):
    model = functional_model(*layers(), mask_dtype=mask_dtype)
    inputs = [IDS, MASK.astype(mask_dtype)]
    before = model(inputs)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(inputs), before)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(inputs), before)


def test_it_trains_from_a_dataset_of_unknown_lengths():
    embedding, lstm = layers()
    model = functional_model(embedding, lstm)
    model.compile("sgd", "mse")
    batches = [
        ({"ids": IDS[:, :length], "mask": MASK[:, :length].astype("int8")}, np.ones((2, 3)))
        for length in (3, 4)
    ]
    spec = (
        {"ids": tf.TensorSpec((2, None), tf.int64), "mask": tf.TensorSpec((2, None), tf.int8)},
        tf.TensorSpec((2, 3)),
    )
    dataset = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=spec)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(2))
    losses = [model.evaluate(batch[0], batch[1], verbose=0) for batch in batches]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)  # the fourth step is padding
    model.fit(dataset, shuffle=False, verbose=0)
    assert model.evaluate(dataset, verbose=0) < losses[0]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_neither_casts_the_tensor_nor_rounds_the_mask(policy):
    layer = AttachMask(dtype=policy)
    out = layer([tf.ones((1, 2, 1)), tf.constant([[1e-12, 0.0]])])
    assert out.dtype == tf.float32
    assert mask_of(out).numpy().tolist() == [[True, False]]
    half = layer([tf.ones((1, 2, 1), layer.compute_dtype), tf.constant([[1, 0]])])
    assert half.dtype == layer.compute_dtype


def test_symbolic_outputs_have_the_tensors_own_shape_and_dtype():
    mask = keras.Input((None,), dtype="float32")
    for dtype in ("float32", "int32", "float16"):
        tensor = keras.Input((None, 4), dtype=dtype)
        out = AttachMask()([tensor, mask])
        assert (out.shape, out.dtype) == ((None, None, 4), dtype)
        assert (mask_of(out).shape, mask_of(out).dtype) == ((None, None), "bool")
    assert AttachMask()([keras.Input((4, 3)), mask]).shape == (None, 4, 3)  # one length is known
    assert AttachMask().compute_output_shape([(2, None, 4), (2, None)]) == (2, None, 4)


def test_shapes_unknown_to_the_graph():
    @tf.function(input_signature=[tf.TensorSpec((None, None, 1)), tf.TensorSpec((None, None))])
    def mean(h, mask):
        return keras.layers.GlobalAveragePooling1D()(AttachMask()([h, mask]))

    h = tf.constant([[[1.0], [3.0], [99.0]]])
    assert mean(h, tf.constant([[1.0, 1.0, 0.0]])).numpy().tolist() == [[2.0]]


def test_config_round_trip():
    layer = AttachMask(name="words", dtype="mixed_float16")
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert (type(again), again.name, again.dtype_policy.name) == (
        AttachMask,
        "words",
        "mixed_float16",
    )


@pytest.mark.parametrize(
    ("args", "kwargs", "types"),
    [
        ([tf.ones((2, 4, 3))], {}, r"\('EagerTensor',\)"),
        ([tf.ones((2, 4, 3)), tf.ones((2, 4))], {}, r"\('EagerTensor', 'EagerTensor'\)"),
        ([tf.ones((2, 4, 3))], {"mask": MASK}, r"\('EagerTensor', 'ndarray'\)"),
        ([[tf.ones((2, 4, 3)), MASK], MASK], {}, r"\(\['EagerTensor', 'ndarray'\], 'ndarray'\)"),
        (
            [[tf.ones((2, 4, 3)), MASK]],
            {"mask": MASK},
            r"\(\['EagerTensor', 'ndarray'\], 'ndarray'\)",
        ),
        ([[tf.ones((2, 4, 3))]], {}, r"\(\['EagerTensor'\],\)"),
        ([[tf.ones((2, 4, 3)), MASK, MASK]], {}, r"\(\['EagerTensor', 'ndarray', 'ndarray'\],\)"),
        ([[tf.ones((2, 4, 3)), None]], {}, r"\(\['EagerTensor', 'NoneType'\],\)"),
    ],
)
def test_anything_but_a_tensor_with_its_mask_is_refused(args, kwargs, types):
    with pytest.raises(ValueError, match=rf"must be one list \[tensor, mask\], got {types}\. Call"):
        AttachMask()(*args, **kwargs)


@pytest.mark.parametrize("mask_shape", [(2, 5), (3, 4), (2, 4, 1), (2, 4, 3, 1), (1, 4), ()])
def test_a_mask_that_does_not_fit_is_refused(mask_shape):
    with pytest.raises(ValueError, match=r"leading axes of the tensor \(2, 4, 3\), got \("):
        AttachMask()([tf.ones((2, 4, 3)), tf.ones(mask_shape)])


def test_a_mask_that_does_not_fit_is_refused_while_the_model_is_built():
    with pytest.raises(ValueError, match=r"of the tensor \(None, 4, 3\), got \(None, 5\)"):
        AttachMask()([keras.Input((4, 3)), keras.Input((5,))])
