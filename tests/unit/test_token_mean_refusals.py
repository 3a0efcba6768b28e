"""TokenMean refuses losses that mix steps, and never squeezes or broadcasts."""

import keras
import pytest
import tensorflow as tf

from maskdata.layers import AttachMask
from maskdata.losses import TokenMean

losses = keras.losses


def escaped(shape):
    return str(shape).replace("(", r"\(").replace(")", r"\)")


@pytest.mark.parametrize(
    ("loss", "shown", "reason"),
    [
        ("ctc", "'ctc'", "aligns"),
        (losses.CTC(), r"CTC\(\)", "aligns"),
        (losses.circle, "circle", "every other"),
        (losses.Circle(gamma=2.0), r"Circle\(gamma=2.0\)", "every other"),
        ("dice", "'dice'", "ratio"),
        (losses.Dice, r"Dice\(\)", "ratio"),
        (losses.tversky, "tversky", "ratio"),
        (losses.Tversky(alpha=0.3), r"Tversky\(alpha=0.3\)", "ratio"),
    ],
)
def test_losses_that_mix_steps_are_refused(loss, shown, reason):
    with pytest.raises(ValueError, match=f"one value per step, got {shown}, which .*{reason}"):
        TokenMean(loss)


@pytest.mark.parametrize(
    "loss",
    [
        losses.CosineSimilarity(axis=1),
        losses.CategoricalCrossentropy(axis=1),
        losses.SparseCategoricalCrossentropy(axis=1),
    ],
)
def test_losses_over_another_axis_are_refused(loss):
    with pytest.raises(ValueError, match=rf"the last axis, got {type(loss).__name__}\(axis=1\)"):
        TokenMean(loss)


@pytest.mark.parametrize("loss", [None, "no_such_loss", 3])
def test_what_is_no_loss_is_refused(loss):
    with pytest.raises(ValueError, match=f"a function or a Loss, got {loss!r}. For example"):
        TokenMean(loss)


def test_a_token_mean_is_not_wrapped_again():
    with pytest.raises(ValueError, match=r"a TokenMean already, got TokenMean\('mse'\)\. Use it"):
        TokenMean(TokenMean("mse"))


@pytest.mark.parametrize("shape", [(), (4,), (4, 1), (1, 5), (5, 4), (4, 5, 1), (4, 5, 3)])
def test_weights_and_masks_are_never_broadcast(shape):
    y = tf.zeros((4, 5, 3))
    with pytest.raises(
        ValueError, match=rf"sample_weight must .* \(4, 5\), got {escaped(shape)}\. Give one"
    ):
        TokenMean("mse")(y, y, tf.ones(shape))
    if shape in [(4,), (4, 5, 3)]:
        with pytest.raises(
            ValueError, match=rf"mask on y_pred must .* \(4, 5\), got {escaped(shape)}\. Put"
        ):
            TokenMean("mse")(y, AttachMask()([y, tf.ones(shape)]))


@pytest.mark.parametrize(
    ("loss", "labels", "predictions"),
    [
        ("mse", (4, 5), (4, 5, 1)),  # Keras averages over time
        ("binary_crossentropy", (4, 5), (4, 5, 1)),
        ("sparse_categorical_crossentropy", (4, 5), (4, 5, 1)),
        (lambda y_true, y_pred: abs(y_true - y_pred)[..., 0], (4, 5), (4, 5, 1)),
        ("mse", (4, 5, 1), (4, 5)),
        ("mse", (4, 5), (4, 5, 5)),
        ("mse", (5, 5), (5, 5, 5)),  # Keras broadcasts
        ("mse", (4, 5, 1), (4, 5, 3)),
        ("mse", (4, 1, 3), (4, 5, 3)),
        ("categorical_crossentropy", (4, 5), (4, 5, 3)),
        ("sparse_categorical_crossentropy", (4, 5), (4, 6, 3)),
        ("sparse_categorical_crossentropy", (4,), (4, 6, 3)),
        ("mse", (4,), (4, 2)),
        ("mse", (4,), (4, 5, 1)),
    ],
)
def test_labels_are_never_squeezed_or_broadcast(loss, labels, predictions):
    with pytest.raises(
        ValueError, match=rf"y_true must have the .*axes of .*, got {escaped(labels)}\. Add"
    ):
        TokenMean(loss)(tf.zeros(labels), tf.ones(predictions))


@pytest.mark.parametrize(
    ("loss", "got"),
    [
        (lambda y_true, y_pred: tf.abs(y_true - y_pred), r"\(4, 5, 3\)"),
        (lambda y_true, y_pred: tf.reduce_mean(y_true - y_pred, axis=(1, 2)), r"\(4,\)"),
        (lambda y_true, y_pred: tf.reduce_mean(y_true - y_pred), r"\(\)"),
    ],
)
def test_a_function_without_one_value_per_step_is_refused(loss, got):
    y = tf.zeros((4, 5, 3))
    with pytest.raises(ValueError, match=rf"the wrapped loss must .* \(4, 5\), got {got}\. Reduce"):
        TokenMean(loss)(y, y)


@pytest.mark.parametrize(
    ("labels", "predictions", "weights"),
    [
        ((4, 5, 3), (4, 5, 3), (4, 1)),
        ((4, 5, 3), (4, 5, 3), (5, 4)),
        ((4, 1, 3), (4, 5, 3), (4, 5)),
        ((4, 5, 3), (4, 1, 3), (4, 5)),
        ((4, 5, 3), (1, 5, 3), (4, 5)),
    ],
)
@pytest.mark.parametrize("as_mask", [False, True])
def test_shapes_known_only_at_run_time_are_not_broadcast_either(
    labels, predictions, weights, as_mask
):
    unknown = [tf.TensorSpec((None, None, 3))] * 2 + [tf.TensorSpec((None, None))]

    @tf.function(input_signature=unknown)
    def loss(y_true, y_pred, weights):
        if as_mask:
            return TokenMean("mse")(y_true, AttachMask()([y_pred, weights]))
        return TokenMean("mse")(y_true, y_pred, weights)

    assert loss(tf.ones((4, 5, 3)), tf.zeros((4, 5, 3)), tf.ones((4, 5))) == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="all inputs must match"):
        loss(tf.ones(labels), tf.zeros(predictions), tf.ones(weights))
