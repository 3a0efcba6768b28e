"""TokenMean is saved and reloaded, and compiles, fits and evaluates in every mode."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata.layers import AttachMask
from maskdata.losses import TokenMean

losses = keras.losses
MASK = np.arange(4) < np.array([3, 1, 0, 2])[:, None]  # B = 4 rows, L = 4 steps
RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.normal(size=(4, 4, 5)).astype("float32")
CLASSES = RANDOM.integers(0, 5, (4, 4))
WEIGHTS = RANDOM.uniform(0.5, 3.0, (4, 4)).astype("float32")
KERAS_SAVES_WITH_OLD_NUMPY_PROTOCOL = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


@keras.saving.register_keras_serializable(package="test_token_mean_models")
def doubled_error(y_true, y_pred):
    return keras.ops.mean(2 * abs(y_true - y_pred), axis=-1)


REPRS = {
    "TokenMean('mse')": lambda: TokenMean("mse"),
    "TokenMean(mean_squared_error)": lambda: TokenMean(losses.mean_squared_error),
    "TokenMean(doubled_error)": lambda: TokenMean(doubled_error),
    "TokenMean(MeanSquaredError())": lambda: TokenMean(losses.MeanSquaredError),
    "TokenMean(SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1))": (
        lambda: TokenMean(losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1))
    ),
    # Keras forgets delta: https://github.com/keras-team/keras/pull/23286
    "TokenMean(Huber(delta=2.0))": lambda: TokenMean(losses.Huber(delta=2.0)),
    "TokenMean('mse', ignore_value=[0, 0.5])": lambda: TokenMean("mse", ignore_value=(0, 0.5)),
    "TokenMean('categorical_crossentropy', ignore_value=1, class_weight={0: 2.0})": (
        lambda: TokenMean(
            "categorical_crossentropy", ignore_value=np.int64(1), class_weight={np.int64(0): 2}
        )
    ),
    "TokenMean('mse', name='words', dtype='float64')": (
        lambda: TokenMean("mse", name="words", dtype="float64")
    ),
}


@pytest.mark.parametrize("text", REPRS)
def test_repr_and_config_round_trip(text):
    loss = REPRS[text]()
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert repr(loss) == repr(again) == text
    assert again.get_config() == loss.get_config()
    y_true, y_pred = np.zeros((1, 2, 2)), np.array([[[0.1, 0.2], [3.0, 4.0]]])
    if "Sparse" not in text:
        assert again(y_true, y_pred).numpy() == loss(y_true, y_pred).numpy()


def tagger():
    keras.utils.set_random_seed(0)
    ids, mask = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int8")
    h = AttachMask()([keras.layers.Embedding(9, 4)(ids), mask])
    return keras.Model([ids, mask], keras.layers.Dense(5)(h))


@KERAS_SAVES_WITH_OLD_NUMPY_PROTOCOL
@pytest.mark.parametrize(
    "loss", [losses.SparseCategoricalCrossentropy(from_logits=True), losses.Huber(delta=0.01)]
)
def test_a_compiled_model_is_saved_and_reloaded(tmp_path, loss):
    model = tagger()
    y = CLASSES if isinstance(loss, losses.SparseCategoricalCrossentropy) else NUMBERS
    model.compile("sgd", TokenMean(loss))
    before = model.evaluate([CLASSES, MASK], y, verbose=0)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    assert model.evaluate([CLASSES, MASK], y, verbose=0) == before


@pytest.mark.parametrize("mode", ["graph", "eager", "jit", "mixed_float16", "mixed_bfloat16"])
def test_fit_and_evaluate_report_the_token_mean(mode):
    if mode.startswith("mixed"):
        keras.config.set_dtype_policy(mode)
    try:
        model = tagger()
    finally:
        keras.config.set_dtype_policy("float32")
    loss = TokenMean(losses.SparseCategoricalCrossentropy(from_logits=True))
    model.compile("sgd", loss, run_eagerly=mode == "eager", jit_compile=mode == "jit")
    logits = tf.cast(model([CLASSES, MASK]), "float32")
    steps = keras.losses.sparse_categorical_crossentropy(CLASSES, logits, from_logits=True)
    expected = np.average(steps.numpy()[MASK], weights=WEIGHTS[MASK])
    inputs = [CLASSES, MASK.astype("int8")]
    assert model.evaluate(inputs, CLASSES, sample_weight=WEIGHTS, verbose=0) == pytest.approx(
        expected, rel=1e-2 if mode.startswith("mixed") else 1e-6
    )
    history = model.fit(inputs, CLASSES, sample_weight=WEIGHTS, epochs=2, verbose=0).history
    assert history["loss"][0] > history["loss"][1]
