"""Every layer in every kind of model: values and masks arrive, are saved, and bad input is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask
from tests.unit import every_layer
from tests.unit.every_layer import FEATURES, LENGTHS, NAMES

POLICIES = "mixed_float16", "mixed_bfloat16"


def compare(found, expected, name, **tolerance):
    for key in expected:
        if key[0] == name:
            np.testing.assert_allclose(found[key], expected[key], **tolerance)


def run(model, **how):
    return every_layer.valid_values(model(every_layer.batch(**how)))


@pytest.fixture(scope="module")
def made():
    return every_layer.make_layers()


@pytest.fixture(scope="module")
def model(made):
    return every_layer.functional(made)


@pytest.fixture(scope="module")
def expected(model):
    return run(model)


class Subclassed(keras.Model):
    def __init__(self, made):
        super().__init__()
        self.made, self.attach = made, AttachMask()

    def call(self, inputs):
        return every_layer.outputs(self.made, self.attach([inputs["h"], inputs["mask"]]))


def predict(model, **how):
    model.compile(**how)
    return every_layer.valid_values(model.predict(every_layer.batch(), verbose=0))


def reload(model, path):
    model.save(path / "model.keras")
    return keras.models.load_model(path / "model.keras")


def clone(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


@pytest.fixture(scope="module")
def ways(made, model, tmp_path_factory):
    """Return the same values, come by in many ways."""
    again = reload(model, tmp_path_factory.mktemp("saved"))
    return {
        "padded far": run(model, length=13, filling=-7.0),
        "padded left": run(model, length=11, side="left", filling=1e30),
        "reloaded": run(again),
        "cloned": run(clone(model)),
        "subclassed": run(Subclassed(made)),
        "predict": predict(model),
        "jit": predict(model, jit_compile=True),
    }


WAYS = "padded far", "padded left", "reloaded", "cloned", "subclassed", "predict", "jit"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_models_give_the_same(ways, expected, way, name):
    compare(ways[way], expected, name, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_known_when_the_model_is_built(model, name):
    found = model(every_layer.batch())[name]
    for known, tensor in zip(model.output[name], found, strict=True):
        assert all(
            one in (None, other) for one, other in zip(known.shape, tensor.shape, strict=True)
        )
        assert known.shape[2:] == tensor.shape[2:]


@pytest.mark.parametrize("policy", POLICIES)
def test_mixed_precision(policy, expected):
    keras.config.set_dtype_policy(policy)
    try:
        found = every_layer.functional()(every_layer.batch())
    finally:
        keras.config.set_dtype_policy("float32")
    for name in NAMES:
        if name != "TemporalSplit":  # which keeps the dtype
            assert found[name][0].dtype.name == policy.removeprefix("mixed_")
        compare(every_layer.valid_values(found), expected, name, atol=0.05, rtol=0.05)


# TensorFlow 2.21 gives a convolution of nothing another shape, on CPUs and in Keras' layer too.
NOT_CONVOLUTIONS = [name for name in NAMES if not name.startswith("MaskedConv1D")]


@pytest.mark.parametrize("shape", [(0, 4, FEATURES), (3, 0, FEATURES)])
@pytest.mark.parametrize("name", NOT_CONVOLUTIONS)
def test_batches_without_rows_or_without_steps(made, model, name, shape):
    h = AttachMask()([tf.ones(shape), tf.ones(shape[:2])])
    for tensor in every_layer.outputs({name: made[name]}, h)[name]:
        assert np.isfinite(tensor).all()


SEQUENTIAL = [
    name for name in NAMES if not name.startswith(("KeepMask, sum", "MaskedMulti", "Rep"))
]


@pytest.mark.filterwarnings("ignore:Layer .*does not support masking:UserWarning")  # a false alarm
@pytest.mark.parametrize("name", [name for name in SEQUENTIAL if name != "TemporalSplit"])
def test_sequential_models_pass_masks_through(name):
    padded = every_layer.batch(filling=1.0)
    h = AttachMask()([padded["h"], padded["mask"]])
    layer = every_layer.make_layers()[name]
    expected = layer(h)
    found = keras.Sequential([keras.layers.Dropout(0.5), layer])(h)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    masks = [keras_mask(tensor) for tensor in (found, expected)]
    np.testing.assert_array_equal(masks[0] is None, masks[1] is None)
    np.testing.assert_array_equal(*(mask if mask is not None else 0 for mask in masks))


def test_training_does_not_depend_on_padding():
    change = every_layer.train(length=max(LENGTHS))
    for length, side in (13, "right"), (9, "left"):
        other = every_layer.train(length, side, run_eagerly=True)
        assert np.linalg.norm(other - change) < 1e-5 * np.linalg.norm(change)


@pytest.mark.filterwarnings("ignore:Layer .*does not support masking:UserWarning")
@pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning")
def test_training_of_stock_layers_does():
    change, other = (
        every_layer.train(length, of=every_layer.STOCK, run_eagerly=True)
        for length in (max(LENGTHS), 13)
    )
    assert np.linalg.norm(other - change) > 0.3 * np.linalg.norm(change)


def call(name, h):
    """Call a layer on an input that is wrong."""
    layer = every_layer.make_layers()[name]
    if name == "MaskedMultiHeadAttention":
        return layer(h, h)
    if name == "RepeatVector":
        return layer([h[:, 0], h])
    return layer([h, h] if name == "KeepMask, sum" else h)


@pytest.mark.parametrize("name", NAMES)
def test_a_call_without_any_mask_is_refused(name):
    words = "must carry a mask, got None. Put AttachMask in front; if every step is data, attach a"
    with pytest.raises(ValueError, match=words):
        call(name, tf.ones([2, 4, FEATURES]))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_lost_its_mask_is_refused_when_it_runs(name):
    # Not when it is built: the mask may come from an outer model.
    h = keras.Input((None, FEATURES))
    model = keras.Model(h, call(name, h))
    with pytest.raises(ValueError, match="must carry a mask, got None"):
        model(np.ones((2, 4, FEATURES)))


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_masks_that_do_not_fit_are_refused(name):
    layer, h = every_layer.make_layers()[name], tf.ones([2, 4, FEATURES])
    words = r"the mask of the input must have the shape of its steps \(2, 4\), got \(2, 5\)\. Give"
    with pytest.raises(ValueError, match=words):
        layer(h, mask=tf.ones([2, 5]))
    with pytest.raises(
        ValueError, match=r"must be bool or numbers, got 'string'\. True or nonzero"
    ):
        layer(h, mask=tf.fill([2, 4], "1"))
