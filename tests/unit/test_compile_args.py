"""compile_args wraps what counts steps, once, in the form in which it was given."""

import re

import keras
import numpy as np
import pytest

from maskdata.compile_args import compile_args
from maskdata.layers import AttachMask, DropMask
from maskdata.losses import TokenMean
from maskdata.metrics import TokenLoss, TokenWise

losses, metrics = keras.losses, keras.metrics
CASES = {
    "one loss": (
        {"loss": "mse"},
        "{'loss': TokenMean('mse'), 'weighted_metrics': [TokenLoss(TokenMean('mse'))]}",
    ),
    "metrics": (
        {"loss": losses.Huber(delta=2.0), "metrics": "mae", "weighted_metrics": ["mse"]},
        "{'loss': TokenMean(Huber(delta=2.0)), 'weighted_metrics': [TokenWise('mae', "
        "weighted=False), TokenWise('mse'), TokenLoss(TokenMean(Huber(delta=2.0)))]}",
    ),
    "wrapped already": (
        {
            "loss": TokenMean("mse", name="mine"),
            "metrics": [TokenWise("mae"), TokenLoss("mae", name="watch")],
        },
        "{'loss': TokenMean('mse', name='mine'), 'weighted_metrics': [TokenWise('mae'), "
        "TokenLoss(TokenMean('mae'), name='watch')]}",
    ),
    "dict": (
        {"loss": {"a": "mse", "b": None}, "metrics": {"b": ["mae"]}},
        "{'loss': {'a': TokenMean('mse'), 'b': None}, 'weighted_metrics': "
        "{'a': [TokenLoss(TokenMean('mse'))], 'b': [TokenWise('mae', weighted=False)]}}",
    ),
    "list": (
        {"loss": ["mse", "mae"], "weighted_metrics": ["mse", None]},
        "{'loss': [TokenMean('mse'), TokenMean('mae')], 'weighted_metrics': "
        "[[TokenWise('mse'), TokenLoss(TokenMean('mse'))], [TokenLoss(TokenMean('mae'))]]}",
    ),
    "ignore_value": (
        {"loss": TokenMean("mse", ignore_value=[0, 1]), "metrics": ["mae"]},
        "{'loss': TokenMean('mse', ignore_value=[0, 1]), 'weighted_metrics': [TokenWise('mae', "
        "ignore_value=[0, 1], weighted=False), TokenLoss(TokenMean('mse', ignore_value=[0, 1]))]}",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_it_returns_prints_readably(case):
    arguments, text = CASES[case]
    assert repr(compile_args(**arguments)) == text


def test_metrics_ignore_what_the_loss_ignores_by_itself():
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    metric, _ = compile_args(loss, metrics=["accuracy"])["weighted_metrics"]
    assert metric.get_config()["ignore_value"] == -1


def test_wrapped_ones_stay_the_same_objects():
    loss, metric = TokenMean("mse"), TokenWise("mae")
    made = compile_args(loss, metrics=[metric])
    assert made["loss"] is loss
    assert made["weighted_metrics"][0] is metric


SHARED = metrics.MeanAbsoluteError()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None,), "loss must be a loss, or a dict or list of losses by output, got None. For"),
        (({},), "list of losses by output, got {}."),
        (([],), "list of losses by output, got []."),
        (({"a": None},), "list of losses by output, got {'a': None}."),
        ((["mse"], "mae"), "metrics must be a list with an entry for each of the 1 losses, got 'm"),
        ((["mse"], ["mae", "mse"]), "each of the 1 losses, got ['mae', 'mse']. Give an output"),
        (({"a": "mse"}, ["mae"]), "a dict with outputs of the loss ['a'], got ['mae']. Give"),
        (({"a": "mse"}, {"b": "mae"}), "metrics must be a dict with outputs of the loss ['a'], go"),
        (
            ({"a": "mse"}, None, {"b": 1}),
            "weighted_metrics must be a dict with outputs of the loss",
        ),
        (("mse", {"a": "mae"}), "metrics must be a metric or a list for one loss, got ['a']. For"),
        (("mse", [SHARED, SHARED]), "each metric must stand in one place, got <MeanAbsoluteError"),
        (("mse", [SHARED], [SHARED]), "each metric must stand in one place, got <MeanAbsoluteErro"),
        (
            ({"a": "mse", "b": "mse"}, {"a": SHARED, "b": SHARED}),
            "in two. Make one for each.",
        ),
    ],
)
def test_what_cannot_work_is_refused(arguments, words):
    with pytest.raises(ValueError, match="compile_args: .*" + re.escape(words)):
        compile_args(*arguments)


def test_the_output_of_a_bad_loss_or_metric_is_named():
    with pytest.raises(ValueError, match="TokenMean: loss must have one value per step") as caught:
        compile_args({"a": "mse", "b": "dice"})
    assert caught.value.__notes__ == ["In compile_args, output 'b'"]
    with pytest.raises(ValueError, match="TokenWise: metric must be a metric of Keras") as caught:
        compile_args({"a": "mse"}, metrics={"a": ["nonsense"]})
    assert caught.value.__notes__ == ["In compile_args, output 'a'"]
    with pytest.raises(ValueError, match="TokenMean: loss must have one value per step") as caught:
        compile_args("dice")
    assert not hasattr(caught.value, "__notes__")


RANDOM = np.random.default_rng(0)
CLASSES = 3
MASK = np.arange(5) < np.array([5, 2, 0, 1])[:, None]
X = {"h": RANDOM.normal(size=(4, 5, 2)).astype("float32"), "mask": MASK.astype("int8")}
Y = {
    "tags": np.where(MASK, RANDOM.integers(0, CLASSES, (4, 5)), 99),
    "scores": np.where(MASK[..., None], RANDOM.normal(size=(4, 5, 1)), np.nan).astype("float32"),
    "row": RANDOM.integers(0, 2, (4, 1)).astype("float32"),
}
WEIGHTS = {
    "tags": None,  # its output carries the mask
    "scores": RANDOM.uniform(0.5, 2.0, MASK.shape).astype("float32") * MASK,
    "row": np.array([1.0, 3.0, 0.0, 1.0], "float32"),
}
LOSSES = {
    "tags": losses.SparseCategoricalCrossentropy(from_logits=True),
    "scores": "mse",
    "row": losses.BinaryCrossentropy(from_logits=True),
}


def make_model(outputs_as):
    keras.utils.set_random_seed(0)
    inputs, mask = keras.Input((None, 2), name="h"), keras.Input((None,), name="mask", dtype="int8")
    h = AttachMask()([keras.layers.Dense(4, activation="tanh")(inputs), mask])
    outputs = {
        "tags": keras.layers.Dense(CLASSES, name="tags")(h),
        "scores": keras.layers.Dense(1, name="scores")(DropMask()(h)),
        "row": keras.layers.Dense(1, name="row")(keras.layers.LSTM(3)(h)),
    }
    outputs = outputs if outputs_as is dict else list(outputs.values())
    return keras.Model({"h": inputs, "mask": mask}, outputs)


def in_form(outputs_as, values):
    return values if outputs_as is dict else list(values.values())


@pytest.mark.parametrize("outputs_as", [dict, list])
def test_several_outputs_one_with_a_mask_and_others_with_weights(outputs_as):
    model = make_model(outputs_as)
    given = {
        "metrics": {"tags": ["accuracy"], "scores": None, "row": "accuracy"},
        "weighted_metrics": {"tags": None, "scores": ["mae"], "row": "accuracy"},
    }
    given = {name: in_form(outputs_as, value) for name, value in given.items()}
    share = {"tags": 1.0, "scores": 0.5, "row": 2.0}
    model.compile(
        "sgd",
        **compile_args(in_form(outputs_as, LOSSES), **given),
        loss_weights=in_form(outputs_as, share),
    )
    y, weights = (in_form(outputs_as, values) for values in (Y, WEIGHTS))
    log = model.evaluate(X, y, sample_weight=weights, verbose=0, return_dict=True)

    tags, scores, row = keras.tree.flatten(
        [model(X)[name] for name in LOSSES] if outputs_as is dict else model(X)
    )
    tags, scores = tags.numpy()[MASK], scores.numpy()[MASK]
    row, true_row = row.numpy()[:, 0], Y["row"][:, 0]
    right = (row > 0.5) == (true_row == 1)
    errors = scores - Y["scores"][MASK]
    truth = {
        "tags_token_loss": np.mean(
            losses.sparse_categorical_crossentropy(Y["tags"][MASK], tags, from_logits=True)
        ),
        "tags_accuracy": np.mean(tags.argmax(-1) == Y["tags"][MASK]),
        "scores_token_loss": np.average(errors[:, 0] ** 2, weights=WEIGHTS["scores"][MASK]),
        "scores_mae": np.average(abs(errors[:, 0]), weights=WEIGHTS["scores"][MASK]),
        "row_token_loss": np.average(
            losses.binary_crossentropy(true_row[:, None], row[:, None], from_logits=True),
            weights=WEIGHTS["row"],
        ),
        "row_accuracy": right[WEIGHTS["row"] > 0].mean(),
        "row_weighted_accuracy": np.average(right, weights=WEIGHTS["row"]),
    }
    truth |= {f"{name}_loss": truth[f"{name}_token_loss"] for name in LOSSES}
    truth["loss"] = sum(share[name] * truth[f"{name}_loss"] for name in LOSSES)
    assert {name.replace("weighted_row_", "row_weighted_") for name in log} == set(truth)
    for name, value in log.items():
        expected = truth[name.replace("weighted_row_", "row_weighted_")]
        assert value == pytest.approx(expected, rel=1e-5), name
    model.fit(X, y, sample_weight=weights, verbose=0)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_compiled_model_is_saved_and_reloaded(tmp_path):
    model = make_model(dict)
    model.compile("sgd", **compile_args(LOSSES, metrics={"tags": ["accuracy"]}))
    before = model.evaluate(X, Y, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert repr(again.loss) == repr(model.loss)
    assert again.evaluate(X, Y, sample_weight=WEIGHTS, verbose=0, return_dict=True) == before
