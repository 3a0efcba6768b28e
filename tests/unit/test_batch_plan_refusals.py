"""BatchPlan: every refusal with its words."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

import maskdata as md
from tests.unit.test_batch_plan import ROWS, TOKENS, plan

MAPPING = {"tokens": tf.ragged.constant(TOKENS), "label": tf.range(5)}
SINGLE_ROWS = tf.data.Dataset.range(3).map(lambda n: {"tokens": tf.range(n), "n": n})
UNEVEN = ROWS.map(lambda block: block | {"label": block["label"][1:]})
NO_ROWS = {"tokens": MAPPING["tokens"][:0]}
STATE = plan().state(epoch=1, step=2)

REFUSALS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: plan(features=3), TypeError, "BatchPlan: features must list feature names, got 3."),
    (lambda: plan(features=[]), TypeError, "BatchPlan: features must list feature names, got []."),
    (lambda: plan(features=["tokens", "tokens"]), ValueError, "BatchPlan: features must name each feature once"),
    (lambda: plan(seed=-1), ValueError, "BatchPlan: seed must be at least 0, got -1."),
    (lambda: plan(seed=2**63), ValueError, "BatchPlan: seed must be at most 9223372036854775807, got"),
    (lambda: plan(seed=None), TypeError, "BatchPlan: seed must be an int, got None."),
    (lambda: plan(drop_remainder=1), TypeError, "BatchPlan: drop_remainder must be True or False, got 1."),
    (lambda: plan([[1], [2]]), TypeError, "BatchPlan: rows must be a dataset of blocks or a mapping of names to features, got [[1], [2]]. Make a"),
    (lambda: plan({}), TypeError, "BatchPlan: rows must be a dataset of blocks or a mapping of names to features, got {}."),
    (lambda: plan({"tokens": TOKENS}), TypeError, "BatchPlan: 'tokens' must be a tensor, a ragged tensor, an array or an Arrow array of rows, got [["),
    (lambda: plan(MAPPING | {"n": np.array(3)}), TypeError, "BatchPlan: 'n' must be a tensor, a ragged tensor, an array or"),
    (lambda: plan(MAPPING | {3: MAPPING["label"]}), TypeError, "BatchPlan: each name of rows must be the name of a feature, got 3."),
    (lambda: plan(NO_ROWS), ValueError, "BatchPlan: rows must have at least one row, got {'tokens'"),
    (lambda: plan(ROWS.take(0)), ValueError, "BatchPlan: rows must have at least one row, got <_Take"),
    (lambda: plan(ROWS.repeat()), ValueError, "BatchPlan: the dataset must have an end, got <_Repeat"),
    (lambda: plan(SINGLE_ROWS), ValueError, "BatchPlan: elements must be batches of rows, but feature 'n' has no row axis"),
    (lambda: plan(features="token"), ValueError, "BatchPlan: no feature 'token'; the element has ['label', 'tokens']. Did you mean 'tokens'?"),
    (lambda: plan(MAPPING, "token"), ValueError, "BatchPlan: no feature 'token'; the element has ['label', 'tokens']. Did you mean 'tokens'?"),
    (lambda: plan(features="label"), ValueError, "BatchPlan: feature 'label' must be ragged [B, (T), ...], got TensorSpec"),
    (lambda: plan(MAPPING, ["tokens", "label"]), ValueError, "BatchPlan: feature 'label' must be ragged [N, (T), ...], got <tf.Tensor"),
    (lambda: plan(MAPPING | {"label": tf.range(4)}), ValueError, "BatchPlan: all features must have the same number of rows, got {'tokens': 5, 'label': 4}. Check"),
    (lambda: plan(UNEVEN), ValueError, "BatchPlan: all features must have the same number of rows, got {"),
    (lambda: plan(num_buckets=9), ValueError, "plan_buckets: num_buckets must be at most 3, the number of different lengths, got 9."),
    (lambda: plan(batch_size=None, max_tokens=3), ValueError, "plan_buckets: max_tokens must be at least 4, the cost of row 3 (4 steps), got 3."),
    (lambda: plan(batch_size=None), ValueError, "plan_buckets: one of max_tokens and batch_size must be given, got"),
    (lambda: plan(batch_size=9, drop_remainder=True), ValueError, "BatchPlan: some bucket must have a full batch, got BucketPlan("),
    (lambda: plan({"tokens": pa.array([[1], None])}), ValueError, "BatchPlan: column 'tokens' must have no nulls, got 'rows [1]'. Fill them"),
    (lambda: plan({"tokens": pa.array([[1], [None, 2]])}), ValueError, "BatchPlan: column 'tokens' must have no nulls, got 'rows [1]'."),
    (lambda: plan({"tokens": pa.array([[{"a": 1}], []])}), TypeError, "BatchPlan: column 'tokens' must hold numbers, bools, strings, or lists of them, got 'list<item: struct<a: int64>>'. Cast"),
    (lambda: plan({"tokens": pa.array([[], []])}), TypeError, "BatchPlan: column 'tokens' must hold numbers, bools, strings, or lists of them, got 'list<item: null>'."),
    (lambda: plan({"tokens": pa.array([[[1, None]]], pa.list_(pa.list_(pa.int8(), 2)))}), ValueError, "BatchPlan: column 'tokens' must have no nulls, got 'rows [0]'."),
    (lambda: plan({"tokens": pa.table({"a": [1]})}), TypeError, "BatchPlan: 'tokens' must be an Arrow array, got <class 'pyarrow.lib.Table'>. Of a table, pass"),
    (lambda: plan().dataset(-1), ValueError, "BatchPlan.dataset: epoch must be at least 0, got -1."),
    (lambda: plan().dataset(2**31), ValueError, "BatchPlan.dataset: epoch must be at most 2147483647, got 2147483648."),
    (lambda: plan().row_numbers(0.5), TypeError, "BatchPlan.row_numbers: epoch must be an int, got 0.5."),
    (lambda: plan().stream(0, 4), ValueError, "BatchPlan.stream: step must be at most 3, got 4."),
    (lambda: plan().state(1.0, 0), TypeError, "BatchPlan.state: epoch must be an int, got 1.0."),
    (lambda: plan().state(0, -1), ValueError, "BatchPlan.state: step must be at least 0, got -1."),
    (lambda: plan().resume("{}"), TypeError, "BatchPlan.resume: state must be what `state` returned, got '{}'. Pass what was saved, or json.loads of it."),
    (lambda: plan().resume({"epoch": 1, "step": 2}), TypeError, "BatchPlan.resume: state must be what `state` returned, got {'epoch': 1, 'step': 2}."),
    (lambda: plan().resume(STATE | {"version": 2}), ValueError, "BatchPlan.resume: state must be of version 1, got 2."),
    (lambda: plan().resume(STATE | {"step": 4}), ValueError, "BatchPlan.resume: step must be at most 3, got 4."),
    (lambda: plan().resume(STATE | {"epoch": "1"}), TypeError, "BatchPlan.resume: epoch must be an int, got '1'."),
]  # fmt: skip


@pytest.mark.parametrize(("refused", "error", "words"), REFUSALS, ids=[w for _, _, w in REFUSALS])
def test_refusals(refused: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        refused()


WORDS = {"tokens": [["a", "b", "c"], ["d"], ["e"], ["f", "a", "b", "c"], ["d"]]}


def looked_up(tokens: str) -> tf.data.Dataset:
    return md.from_rows(WORDS).apply(md.Lookup("tokens", md.Vocabulary(list(tokens))))


def test_the_state_of_other_data_is_refused() -> None:
    same, mine = plan(looked_up("abcdef")), plan(looked_up("abcdef"))
    mine.resume(same.state(1, 0))
    for rows in (
        looked_up("abcdfe"),
        looked_up("abcde"),
        looked_up("abcdef").map(lambda block: block | {"copy": block["tokens"]}),
        looked_up("abcdef").map(lambda block: {"tokens": tf.cast(block["tokens"], tf.int32)}),
        looked_up("abcdef").map(lambda block: {"tokens": block["tokens"][::-1]}),
    ):
        with pytest.raises(
            ValueError, match=r"same data, '\w{64}', got '\w{64}'\. Build the plan of"
        ):
            mine.resume(plan(rows).state(1, 0))


def test_the_state_of_other_settings_is_refused() -> None:
    mine = plan()
    for other in ({"seed": 1}, {"batch_size": 1}, {"num_buckets": 3}, {"drop_remainder": True}):
        with pytest.raises(
            ValueError, match=r"same order, '\w{64}', got '\w{64}'\. Build the plan with"
        ):
            mine.resume(plan(**other).state(1, 0))
