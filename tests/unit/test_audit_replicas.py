"""audit(strategy=...): one device against replicas."""

import keras
import pytest
import tensorflow as tf

from maskdata.audit import audit
from maskdata.compile_args import compile_args
from tests.invariance.small_models import batch, compiled, tagger, words


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def loss(**kwargs):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, **kwargs)


def quantities(report):
    return {q.name: q.ok and not q.why for q in report.whole if "replicas" in q.name}


def test_a_mean_of_means_is_found_and_the_mean_of_all_is_right(strategy):
    with strategy.scope():
        model, given = compiled(*words(tagger), **compile_args(loss(), metrics=["accuracy"]))
        with pytest.raises(ValueError, match=r"got the scope of a strategy. Call it outside"):
            audit(model, given, strategy=strategy)
    right = audit(model, given, strategy=strategy)
    with strategy.scope():
        model.compile("sgd", loss(reduction="mean_with_sample_weight"))
    wrong = audit(model, given, strategy=strategy)
    names = ("loss", "gradients", "accuracy", "token_loss")
    assert quantities(right) == {f"{name} on 2 replicas": True for name in names}
    assert right.ok
    assert [problem.name for problem in wrong.problems] == ["loss on 2 replicas"]
    assert "compile_args" in wrong.problems[0].advice


def test_what_cannot_be_judged_on_replicas_is_told(strategy):
    model, given = compiled(*words(tagger), **compile_args(loss(), metrics=["accuracy"]))
    report = audit(model, given, strategy=strategy)
    assert quantities(report) == {
        "loss on 2 replicas": True,
        "gradients on 2 replicas": True,
        "accuracy on 2 replicas": False,
        "token_loss on 2 replicas": False,
    }
    assert report.ok
    data = batch(lengths=(6,))
    model, given = compiled(*words(tagger, data=data), data=data)
    report = audit(model, given, strategy=strategy)
    assert [q.why for q in report.whole if "replicas" in q.name] == ["1 rows are too few"]
