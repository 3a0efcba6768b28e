"""plan_buckets: every refusal with its words."""

import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data.bucket_plan import plan_buckets

LENGTHS = [6, 1, 5, 1, 2, 1]
PAIRS = {"source": [1, 2, 2, 3], "target": [9, 9, 1, 1]}
ROWS = md.from_rows({"tokens": [[1, 2, 3], [4]], "label": [0, 1]})
SINGLE_ROWS = tf.data.Dataset.range(3).map(lambda n: {"tokens": tf.range(n), "n": n})
UNEVEN = tf.data.Dataset.from_tensors({"a": tf.ragged.constant([[1], [2]]), "b": tf.ragged.constant([[1]])})  # fmt: skip

REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"lengths": []}, ValueError, "plan_buckets: lengths must have at least one row, got []. Was the data empty?"),
    ({"lengths": {"tokens": []}}, ValueError, "tokens must have at least one row, got"),
    ({"lengths": ROWS.take(0), "features": "tokens"}, ValueError, "tokens must have at least one row, got"),
    ({"lengths": {}}, TypeError, "the names of lengths must list feature names, got []."),
    ({"lengths": {3: [1]}}, TypeError, "the names of lengths must be the name of a feature, got 3"),
    ({"lengths": [3, -2]}, ValueError, "lengths must be at least 0, in row 1 too, got -2. Check what counted the steps."),
    ({"lengths": [3.0, 2.0]}, TypeError, "lengths must be one whole number for each row, got [3.0, 2.0]."),
    ({"lengths": ["to", "be"]}, TypeError, "lengths must be one whole number for each row, got ['to', 'be']."),
    ({"lengths": [True, False]}, TypeError, "lengths must be one whole number for each row, got [True, False]."),
    ({"lengths": [[1, 2], [3, 4]]}, TypeError, "lengths must be one whole number for each row, got [[1, 2], [3, 4]]. Of a ragged tensor, pass row_lengths(); of a list of rows, [len(row) for row in rows]."),
    ({"lengths": [[1], [3, 4]]}, TypeError, "lengths must be one whole number for each row, got [[1], [3, 4]]."),
    ({"lengths": tf.ragged.constant([[1], [3, 4]])}, TypeError, "lengths must be one whole number for each row, got <tf.RaggedTensor"),
    ({"lengths": 3}, TypeError, "lengths must be one whole number for each row, got 3."),
    ({"num_buckets": 0}, ValueError, "num_buckets must be at least 1, got 0."),
    ({"num_buckets": 2.0}, TypeError, "num_buckets must be an int, got 2.0."),
    ({"num_buckets": 5}, ValueError, "num_buckets must be at most 4, the number of different lengths, got 5."),
    ({"num_buckets": 3, "length_multiple_of": 4}, ValueError, "num_buckets must be at most 2, the number of different lengths, got 3."),
    ({"lengths": PAIRS, "num_buckets": 4}, ValueError, "num_buckets must be at most 3, the number of different lengths, got 4."),
    ({"batch_size": None}, ValueError, "one of max_tokens and batch_size must be given, got {'max_tokens': None, 'batch_size': None}."),
    ({"max_tokens": 8}, ValueError, "one of max_tokens and batch_size must be given, got {'max_tokens': 8, 'batch_size': 4}."),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0."),
    ({"batch_size": 4, "multiple_of": 3}, ValueError, "batch_size must be a multiple of multiple_of=3, got 4."),
    ({"multiple_of": 0}, ValueError, "multiple_of must be at least 1, got 0."),
    ({"length_multiple_of": 0}, ValueError, "length_multiple_of must be at least 1, got 0."),
    ({"max_tokens": "8", "batch_size": None}, TypeError, "max_tokens must be a number, got '8'."),
    ({"max_tokens": True, "batch_size": None}, TypeError, "max_tokens must be a number, got True."),
    ({"max_tokens": 0, "batch_size": None}, ValueError, "max_tokens must be positive and below 2**53, got 0."),
    ({"max_tokens": float("nan"), "batch_size": None}, ValueError, "max_tokens must be positive and below 2**53, got nan."),
    ({"max_tokens": float("inf"), "batch_size": None}, ValueError, "max_tokens must be positive and below 2**53, got inf."),
    ({"max_tokens": 5, "batch_size": None}, ValueError, "max_tokens must be at least 6, the cost of row 0 (6 steps), got 5. Raise it; or cut the row with Truncate, split it with SplitLong or leave it out with DropLong: each counts what it takes away."),
    ({"max_tokens": 7, "batch_size": None, "length_multiple_of": 4}, ValueError, "max_tokens must be at least 8, the cost of row 0 (6 steps), got 7."),
    ({"max_tokens": 23, "batch_size": None, "multiple_of": 4}, ValueError, "max_tokens must be at least 24, the cost of 4 rows like row 0 (6 steps), got 23. Raise it, or lower multiple_of; or cut"),
    ({"max_tokens": 9, "batch_size": None, "lengths": PAIRS}, ValueError, "max_tokens must be at least 11, the cost of row 1 (2 and 9 steps), got 9."),
    ({"max_tokens": 5, "batch_size": None, "cost": lambda n: n + 0.5}, ValueError, "max_tokens must be at least 6.5, the cost of row 0 (6 steps), got 5."),
    ({"cost": 3}, TypeError, "cost must be a function of lengths, got 3."),
    ({"cost": lambda n: n - 7}, ValueError, "the cost of a row of 6 steps must be positive and finite, got -1.0."),
    ({"cost": lambda n: n - 1}, ValueError, "the cost of a row of 1 steps must be positive and finite, got 0.0."),
    ({"cost": lambda n: np.where(n == 6, np.nan, 1)}, ValueError, "the cost of a row of 6 steps must be positive and finite, got nan."),
    ({"cost": lambda n: n * np.inf}, ValueError, "the cost of a row of 6 steps must be positive and finite, got inf."),
    ({"cost": lambda n: 1.0}, TypeError, "cost must return one number for each of 6 lengths, got"),
    ({"cost": lambda n: n[:-1]}, TypeError, "cost must return one number for each of 6 lengths, got"),
    ({"cost": lambda n: n > 3}, TypeError, "cost must return one number for each of 6 lengths, got"),
    ({"lengths": {"a": [1, 2], "b": [1]}}, ValueError, "all features must have the same number of rows, got {'a': 2, 'b': 1}. Measure them on the same rows."),
    ({"lengths": UNEVEN, "features": ["a", "b"]}, ValueError, "all features must have the same number of rows, got {'a': 2, 'b': 1}."),
    ({"features": "tokens"}, ValueError, "features must be None if lengths have no names, got 'tokens'. Pass the lengths by name"),
    ({"lengths": PAIRS, "features": "sauce"}, ValueError, "no feature 'sauce'; the element has ['source', 'target']. Did you mean 'source'?"),
    ({"lengths": PAIRS, "features": []}, TypeError, "features must list feature names, got []."),
    ({"lengths": PAIRS, "features": ["source", "source"]}, ValueError, "features must name each feature once"),
    ({"lengths": ROWS}, TypeError, "features must name what to measure, got None. Pass features=, one or several of ['tokens']."),
    ({"lengths": ROWS, "features": "token"}, ValueError, "no feature 'token'; the element has ['label', 'tokens']. Did you mean 'tokens'?"),
    ({"lengths": ROWS, "features": "label"}, ValueError, "feature 'label' must be ragged [B, (T), ...]"),
    ({"lengths": SINGLE_ROWS, "features": "tokens"}, ValueError, "elements must be batches of rows, but feature 'n' has no row axis"),
    ({"lengths": ROWS.repeat(), "features": "tokens"}, ValueError, "the dataset must have an end, got"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error", "words"), REFUSED, ids=[words for *_, words in REFUSED]
)
def test_refused(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments = {"lengths": LENGTHS, "num_buckets": 2, "batch_size": 4} | changes
    with pytest.raises(error, match=re.escape(words)) as caught:
        plan_buckets(**arguments)
    assert str(caught.value).startswith("plan_buckets: ")
