"""The audit knows packed rows, finds what mixes them, and blames nothing in models that do not."""

import re

import keras
import numpy as np
import pytest

from maskdata import layers as masked
from maskdata.audit import _packed_advice, audit
from maskdata.audit._batch import parse
from maskdata.audit._batch_masks import with_masks
from maskdata.audit._packed_variants import others_in, reversed_order
from maskdata.audit._variants import longer
from maskdata.testing import assert_padding_invariant
from tests.invariance.packed_faults import (
    CLEAN,
    FAULTS,
    batch,
    model_of,
    tagger,
    unmasked_attention,
)
from tests.invariance.planted import name_of

pytestmark = [
    pytest.mark.usefixtures("same_weights"),
    # Said while the models are built.
    pytest.mark.filterwarnings("ignore:Layer .*does not support masking:UserWarning"),
]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_where_it_is(name):
    planted = FAULTS[name]
    report = audit(*planted.make())
    (problem,) = report.problems
    assert name_of(problem) == planted.at
    assert problem.what.startswith(planted.verdict)
    assert problem.call.verdict == planted.verdict
    assert problem.change == problem.call.change > 1e-5
    assert planted.advice in problem.advice
    assert not report.ok
    assert not report.whole[1].ok


@pytest.mark.parametrize("name", CLEAN)
def test_no_false_alarm(name):
    report = audit(*CLEAN[name].make())
    assert report.problems == []
    assert report.ok
    assert len([what for what in report.tried if "segments" in what]) == 3
    assert any(note.startswith("A packed batch: up to ") for note in report.notes)
    assert report.whole[1].name == "outputs, packed otherwise"
    assert report.whole[1].ok
    assert "neither padding nor packing changes anything" in report.summary
    assert not any("Could not" in note for note in report.notes)


def test_a_second_fault_is_not_hidden_behind_the_first():
    def body(h, inputs):
        h = masked.PositionEmbedding(16)(h)
        h = masked.AttachMask()([unmasked_attention(h, inputs), inputs["tokens_segment_ids"]])
        return tagger(masked.MaskedConv1D(3, 3)(h))

    problems = audit(model_of(body), batch()).problems
    found = [(name_of(problem), problem.call.verdict) for problem in problems]
    assert found == [
        ("position_embedding", "depends on its place"),
        ("multi_head_attention", "mixes segments"),
        ("masked_conv1d", "mixes segments"),
    ]
    advice = "<name>_positions", "layers.SegmentAttentionMask", "BucketBySequenceLength"
    assert all(of in problem.advice for of, problem in zip(advice, problems, strict=True))


@pytest.fixture(scope="module")
def mixing():
    return model_of(lambda h, inputs: tagger(unmasked_attention(h, inputs)))


def test_it_fails_in_somebodys_own_tests_and_names_the_layer(mixing):
    with pytest.raises(AssertionError, match=r"multi_head_attention\w*: mixes segments.*Segment"):
        assert_padding_invariant(mixing, batch())


def test_a_fault_that_could_not_show_is_not_called_proven(mixing):
    features = batch()
    alone = audit(mixing, {name: feature[2:] for name, feature in features.items()})
    assert alone.whole[1].why == "no packed row holds two segments with steps"
    equal = features | {"tokens": np.full_like(features["tokens"], 3)}
    same = audit(mixing, equal)
    assert same.whole[1].why == "it could not be tried, see the notes"
    assert any("All steps hold the same values" in note for note in same.notes)
    for report in (alone, same):
        assert "no problem found" in report.summary


@pytest.mark.parametrize(
    "numbers",
    [
        [[1, 1, 0, 0], [0, 1, 1, 0]],  # types of tokens: 0 is not padding
        [[2, 2, 1, 1], [1, 1, 2, 0]],  # no order in which they were packed
        [[0.5, 1, 1, 2], [1, 1, 2, 0]],
        [[-1, 1, 1, 1], [1, 1, 1, 0]],
    ],
)
def test_other_numbers_are_no_segments(numbers):
    tokens = keras.Input([None], dtype="int32", name="tokens")
    mask = keras.Input([None], dtype="int32", name="tokens_mask")
    ids = keras.Input([None], name="tokens_segment_ids")
    h = masked.AttachMask()([keras.layers.Embedding(9, 4)(tokens), mask])
    h = masked.MaskedGlobalAveragePooling1D()(h)
    x = {
        "tokens": np.array([[1, 2, 3, 4], [5, 6, 7, 0]]),
        "tokens_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]]),
        "tokens_segment_ids": np.array(numbers),
    }
    inputs = {tensor.name: tensor for tensor in (tokens, mask, ids)}
    report = audit(keras.Model(inputs, h), x)
    assert report.ok
    assert not any("segments" in line for line in (*report.tried, *report.notes))


PACKED = {
    "a": np.array([[11, 12, 21, 31, 32, 33], [41, 42, 43, 0, 0, 0]]),
    "a_segment_ids": np.array([[1, 1, 2, 3, 3, 3], [2, 2, 2, 0, 0, 0]]),
    "positions": np.array([[0, 1, 0, 0, 1, 2], [0, 1, 2, 0, 0, 0]]),
    "like_a": np.array([[1.5, 2, 3, 4, 5, 6], [7, 8, 9, 0, 0, 0]]),
    "label": np.array([[1, 2, 3], [8, 4, 0]]),
    "segment_mask": np.array([[1, 1, 1], [1, 1, 0]]),
}


def parsed():
    return with_masks("audit", parse("audit", None, PACKED), None)


def arrays(made):
    return {feature.name: feature.array.tolist() for feature in made.given}


def test_padding_further_knows_the_axis_of_steps():
    found = arrays(longer(parsed(), 2))
    assert found["a"][1] == [41, 42, 43, 0, 0, 0, 0, 0]
    assert found["a_segment_ids"][0] == [1, 1, 2, 3, 3, 3, 0, 0]
    assert found["positions"][0] == [0, 1, 0, 0, 1, 2, 0, 0]
    assert len(found["like_a"][0]) == 8
    assert found["label"] == PACKED["label"].tolist()
    assert found["segment_mask"] == PACKED["segment_mask"].tolist()


def test_segments_in_reverse_order():
    other, slots = reversed_order(parsed())
    assert arrays(other) == {
        "a": [[31, 32, 33, 21, 11, 12], [41, 42, 43, 0, 0, 0]],
        "a_segment_ids": [[1, 1, 1, 2, 3, 3], [1, 1, 1, 0, 0, 0]],
        "positions": [[0, 1, 2, 0, 0, 1], [0, 1, 2, 0, 0, 0]],
        "like_a": [[4, 5, 6, 3, 1.5, 2], [7, 8, 9, 0, 0, 0]],
        "label": [[3, 2, 1], [4, 8, 0]],
        "segment_mask": [[1, 1, 1], [1, 1, 0]],
    }
    assert slots["a_segment_ids"].tolist() == [[3, 4, 5, 2, 0, 1], [0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("remainder", [0, 1])
def test_others_stand_in_every_second_segment_only(remainder):
    found = arrays(others_in(parsed(), remainder))
    for name, before in PACKED.items():
        of_steps = name in ("a", "like_a")
        numbers = PACKED["a_segment_ids"] if of_steps else np.array([[1, 2, 3], [1, 2, 0]])
        touched = (numbers > 0) & (numbers % 2 == remainder)
        if of_steps or name == "label":
            assert np.array_equal(np.array(found[name]) != before, touched)
            assert set(np.ravel(found[name])) <= set(before.ravel())
        else:
            assert found[name] == before.tolist()


def test_what_is_advised_exists():
    import maskdata

    lines = [line for line in vars(_packed_advice).values() if isinstance(line, str)]
    advised = re.findall(r"maskdata\.(layers\.)?(\w+)", " ".join(lines))
    assert len(advised) > 5
    for is_layer, name in advised:
        assert name in (masked.__all__ if is_layer else maskdata.__all__) or name == "layers"
