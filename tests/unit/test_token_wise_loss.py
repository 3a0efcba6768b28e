"""TokenLoss: the mean loss of all steps, a number to watch and to stop by."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata.layers import AttachMask
from maskdata.losses import TokenMean
from maskdata.metrics import TokenLoss, TokenWise

# Absolute errors are the predictions: small integers make every mean exact.
BATCHES = [([[4.0]], [[1]]), ([[1.0, 3.0, 9.0], [6.0, 9.0, 9.0]], [[1, 1, 0], [1, 0, 0]])]


def update(metric, y_pred, weights=None, mask=None):
    y_pred = tf.convert_to_tensor(y_pred)[..., None]
    masked = y_pred if mask is None else AttachMask()([y_pred, tf.constant(mask)])
    metric.update_state(tf.zeros_like(y_pred), masked, weights)


@pytest.mark.parametrize("told_by", ["mask", "weights", "mask and weights"])
def test_the_mean_is_that_of_all_steps(told_by):
    token_loss = TokenLoss("mae")
    assert float(token_loss.result()) == 0
    for _ in range(2):
        for y_pred, mask in BATCHES:
            weights = np.array(mask) if "weights" in told_by else None
            update(token_loss, y_pred, weights, mask if "mask" in told_by else None)
        assert float(token_loss.result()) == 14 / 4
        token_loss.reset_state()
        assert float(token_loss.result()) == 0


def test_weights_weigh_across_batches():
    token_loss = TokenLoss("mae")
    update(token_loss, [[4.0]], np.array([[3.0]]))
    update(token_loss, [[1.0, 6.0]], np.array([[0.5, 0.5]]))
    assert float(token_loss.result()) == 15.5 / 4


def test_labels_to_ignore_and_weights_of_classes():
    y_true, y_pred = np.array([[0, 1, 2]]), np.array([[[0.5, 0.25, 0.25]] * 3])
    token_loss = TokenLoss("sparse_categorical_crossentropy", ignore_value=2, class_weight={0: 3})
    token_loss.update_state(y_true, y_pred)
    assert float(token_loss.result()) == pytest.approx((3 * np.log(2) + np.log(4)) / 4)
    same = TokenLoss(
        TokenMean("sparse_categorical_crossentropy", ignore_value=2, class_weight={0: 3})
    )
    same.update_state(y_true, y_pred)
    assert float(same.result()) == float(token_loss.result())


@pytest.mark.parametrize("mode", ["eager", "graph", "jit"])
def test_many_small_batches_are_not_lost_in_a_large_sum(mode):
    token_loss = TokenLoss("mae")

    def step(y_pred, weight):
        update(token_loss, y_pred, weight)

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "jit", reduce_retracing=True)
    step(tf.constant([[0.0]]), tf.constant([[2.0**24]]))
    for _ in range(200):
        step(tf.constant([[1.0]]), tf.constant([[1.0]]))
    assert float(token_loss.result()) == pytest.approx(200 / (2**24 + 200), rel=1e-6)
    # What compensation is for: a plain float32 sum stays where it is.
    assert np.float32(2**24) + np.float32(1) == 2**24


def test_nan_at_a_valid_step_is_not_hidden():
    token_loss = TokenLoss("mae")
    update(token_loss, [[np.nan, 1.0]], np.array([[0, 1]]))
    assert float(token_loss.result()) == 1
    update(token_loss, [[np.nan, 1.0]], np.array([[1, 1]]))
    assert np.isnan(float(token_loss.result()))


@pytest.mark.parametrize(
    "text",
    [
        "TokenLoss(TokenMean('mse'))",
        "TokenLoss(TokenMean(Huber(delta=2.0), ignore_value=-1), name='words')",
    ],
)
def test_repr_and_config_round_trip(text):
    metric = {
        "TokenLoss(TokenMean('mse'))": lambda: TokenLoss("mse"),
        "TokenLoss(TokenMean(Huber(delta=2.0), ignore_value=-1), name='words')": lambda: TokenLoss(
            keras.losses.Huber(delta=2.0), ignore_value=-1, name="words"
        ),
    }[text]()
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert repr(again) == repr(metric) == text
    assert again.get_config() == metric.get_config()


def test_it_computes_in_the_dtype_of_the_loss():
    assert TokenLoss(TokenMean("mae", dtype="float16")).dtype == "float32"
    assert TokenLoss(TokenMean("mae", dtype="float64")).dtype == "float64"


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((None, 1)), keras.layers.Dense(1)])
    model.compile("sgd", "mae", weighted_metrics=[TokenLoss("mae"), TokenWise("binary_accuracy")])
    return model


X, Y = np.ones((4, 3, 1), "float32"), np.ones((4, 3, 1), "float32")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_callbacks_can_watch_it(model, tmp_path):
    stop = keras.callbacks.EarlyStopping("val_token_loss")
    rising = keras.callbacks.EarlyStopping("val_binary_accuracy")
    best = tmp_path / "best.keras"
    save = keras.callbacks.ModelCheckpoint(best, monitor="val_token_loss", save_best_only=True)
    model.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=[stop, rising, save])
    assert stop.monitor_op(1, 2)  # less is better
    assert rising.monitor_op(2, 1)
    again = keras.models.load_model(best)
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


def test_keras_itself_depends_on_the_batches(model):
    # What TokenLoss is for; when this fails, Keras has changed.
    def evaluate(lengths):
        parts = [
            tf.data.Dataset.from_tensors((np.ones((1, n, 1), "float32"), np.full((1, n, 1), n)))
            for n in lengths
        ]
        return model.evaluate(parts[0].concatenate(parts[1]), verbose=0, return_dict=True)

    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    log = evaluate([1, 9])
    assert log["loss"] == 5
    assert log["token_loss"] == pytest.approx((1 + 9 * 9) / 10)
