"""audit: verdicts, problems, the table and the page."""

import re

import keras
import numpy as np
import pytest
from keras import ops

from maskdata import layers as masked
from maskdata.audit import audit
from maskdata.audit.report import VERDICTS
from tests.invariance.small_models import batch, pooled, tagger, words

layers = keras.layers
pytestmark = [
    pytest.mark.usefixtures("same_weights"),
    # Said while the models are built.
    pytest.mark.filterwarnings("ignore:Layer .*does not support masking:UserWarning"),
]


def verdicts(report):
    return {re.sub(r"_\d+$", "", call.name): call.verdict for call in report.calls}


def test_every_verdict():
    x, mask = keras.Input([None, 4], name="x"), keras.Input([None], name="x_mask")

    def body(h):
        h = masked.AttachMask(name="attach_again")([layers.Dense(4)(h), mask])
        h = layers.SimpleRNN(4, return_sequences=True)(h)
        first = h[:, 0]
        dropped = layers.Conv1D(4, 2, padding="causal")(h)
        largest = layers.GlobalMaxPooling1D()(dropped * 2.0)
        return [first, largest, layers.Softmax()(h), layers.GlobalAveragePooling1D()(h)]

    model = keras.Model([x, mask], body(masked.AttachMask()([x, mask])))
    found = verdicts(audit(model, [batch()["numbers"], batch()["mask"]]))
    assert found == {
        "attach_mask": "makes",
        "dense": "passes on",
        "attach_again": "replaces",
        "simple_rnn": "uses",
        "get_item": "drops by design",
        "conv1d": "drops with a warning",
        "multiply": "no mask",
        "global_max_pooling1d": "reads padding",
        "softmax": "fails with a mask",
        "global_average_pooling1d": "uses",
    }
    silent = audit(*words(lambda h: pooled(h * 2.0)))
    of_packed = {
        "mixes segments",
        "depends on its place",
    }  # in tests/invariance/test_packed_audit.py
    assert set(found.values()) | set(verdicts(silent).values()) == set(VERDICTS) - of_packed


def test_problems_stand_in_the_order_of_calls_and_the_first_change_is_told():
    report = audit(
        *words(lambda h: layers.GlobalMaxPooling1D()(layers.Conv1D(3, 3, padding="same")(h)))
    )
    assert [problem.call.kind for problem in report.problems] == ["Conv1D", "GlobalMaxPooling1D"]
    first = next(call for call in report.calls if call.change)
    assert first is report.problems[0].call
    assert 1e-3 < first.change == report.problems[0].change
    assert f"{first.change:.2g}" in report.problems[0].what


def test_several_calls_of_one_layer_are_judged_each_on_its_own():
    dense, pool = layers.Dense(4), layers.GlobalMaxPooling1D()
    report = audit(*words(lambda h: [pool(dense(h)), pool(layers.SimpleRNN(4)(dense(h))[:, None])]))
    found = {call.verdict for call in report.calls if call.name == pool.name}
    assert found == {"reads padding", "no mask"}


def test_a_fault_that_changes_no_output_is_no_problem():
    def body(h):
        largest = layers.GlobalMaxPooling1D()(h)
        nothing = 0.0 * layers.RepeatVector(1)(largest)
        return pooled(masked.KeepMask(layers.Add())([h, nothing]))

    report = audit(*words(body))
    assert report.ok
    assert verdicts(report)["global_max_pooling1d"] == "reads padding"


def test_calls_inside_of_a_layer_of_your_own():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.dense, self.supports_masking = layers.Dense(4, name="inner"), True

        def call(self, h):
            return self.dense(h) - ops.max(h, axis=1, keepdims=True)

    report = audit(*words(lambda h: pooled(Block()(h))))
    depths = [(call.name.split(" (")[0], call.depth) for call in report.calls]
    assert depths[2:6] == [("block", 0), ("inner", 1), ("max", 1), ("-", 1)]
    (problem,) = report.problems
    assert problem.name.startswith("max (test_audit.py:")


def test_layers_that_are_advised_exist():
    from maskdata.audit import _advice

    tables = [value for value in vars(_advice).values() if isinstance(value, dict)]
    lines = [line for table in tables for line in table.values() if isinstance(line, str)]
    advised = set(re.findall(r"(?:maskdata\.layers\.|\b(?=Masked))(\w+)", " ".join(lines)))
    assert len(advised) > 10
    assert advised <= set(masked.__all__)


def test_the_table_and_the_page(tmp_path):
    model, x = words(lambda h: layers.GlobalMaxPooling1D(name="p-[b]-&")(h))
    model.name = "<b>model"
    report = audit(model, x)
    text = str(report)
    assert "<b>model: 1 problem (3 calls, 4 comparisons)" in text
    assert re.search(r"3 │ p-\[b\]-& +│ GlobalMaxPooling1D │ yes +│ - +│ reads padding", text)
    assert "* 3 p-[b]-&: reads padding: its values change by" in text
    assert "Use maskdata.layers.MaskedGlobalMaxPooling1D." in text
    page = report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    assert "<b>model" not in page
    assert "&lt;b&gt;model" in page
    assert "p-[b]-&amp;" in page
    assert not re.search("https?:|src=|href=|<script", page)
    assert "Use maskdata.layers.MaskedGlobalMaxPooling1D." in page


def test_what_the_whole_is_compared_by():
    model, x = words(tagger)
    assert [q.why for q in audit(model, x).whole[1:]] == ["the model is not compiled with a loss"]
    model.compile("sgd", "mse")
    assert [q.why for q in audit(model, x).whole[1:]] == ["the batch has no labels"]
    report = audit(model, (x, np.zeros((5, 6, 3)), batch()["weights"]))
    assert [(q.name, q.ok) for q in report.whole] == [
        ("outputs", True),
        ("loss", True),
        ("gradients", True),
    ]
