"""The audit finds every planted fault where it is, and nothing in models that are right."""

import re

import keras
import pytest

from maskdata import layers as masked
from maskdata.audit import audit
from tests.invariance.planted import name_of
from tests.invariance.planted_faults import CLEAN, FAULTS
from tests.invariance.small_models import pooled, words

layers = keras.layers
pytestmark = [
    pytest.mark.usefixtures("same_weights"),
    # Said while the models are built.
    pytest.mark.filterwarnings("ignore:Layer .*does not support masking:UserWarning"),
]


def test_there_are_enough_of_them():
    assert len(FAULTS) >= 25
    assert len(CLEAN) >= 10


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_where_it_is(name):
    planted = FAULTS[name]
    report = audit(*planted.make(), mask=planted.mask)
    assert [name_of(problem) for problem in report.problems] == [planted.at]
    assert planted.says in str(report.problems[0])
    assert not report.ok


@pytest.mark.parametrize("name", CLEAN)
def test_no_false_alarm(name):
    report = audit(*CLEAN[name].make())
    assert report.problems == []
    assert report.ok
    assert report.tried


def attended(attention):
    return lambda h: pooled(layers.Add()([h, attention(h, h)]))


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (layers.GlobalMaxPooling1D(), masked.MaskedGlobalMaxPooling1D()),
        (
            layers.MaxPooling1D(3, 1, padding="same"),
            masked.MaskedMaxPooling1D(3, 1, padding="same"),
        ),
        (
            layers.AveragePooling1D(3, 1, padding="same"),
            masked.MaskedAveragePooling1D(3, 1, padding="same"),
        ),
        (layers.Conv1D(3, 3, padding="same"), masked.MaskedConv1D(3, 3, padding="same")),
        (layers.GroupNormalization(2), masked.MaskedGroupNormalization(2)),
        (layers.Softmax(axis=1), masked.MaskedSoftmax(axis=1)),
        (lambda h: pooled(h * 2), lambda h: pooled(masked.KeepMask(lambda h: h * 2)(h))),
        (
            lambda h: layers.Dense(2)(h[:, -1]),
            lambda h: layers.Dense(2)(masked.MaskedGlobalAveragePooling1D()(h)),
        ),
    ],
    ids=lambda body: getattr(body, "name", "function"),
)
def test_what_is_advised_mends_it(wrong, right):
    advised = re.search(r"Masked\w+|KeepMask", audit(*words(wrong)).problems[0].advice)
    assert advised is not None
    assert audit(*words(right)).ok
