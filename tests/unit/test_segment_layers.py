"""SegmentAttentionMask, SegmentPooling, SegmentRNN: refusals, shapes, precision."""

import re
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from maskdata.layers import SegmentAttentionMask, SegmentPooling, SegmentRNN

IDS = np.array([[1, 1, 2, 0], [1, 2, 3, 3]], "int32")
SEGMENTS = np.array([[True, True, False], [True, True, True]])
STEPS = np.arange(16, dtype="float32").reshape(2, 4, 2)

REFUSED: list[tuple[Any, str]] = [
    (lambda: SegmentAttentionMask()(tf.zeros([2, 3, 4])), "SegmentAttentionMask: segment ids must be [B, L], got [(2, 3, 4), (2, 3, 4)]."),
    (lambda: SegmentAttentionMask(causal=True)([IDS, IDS]), "SegmentAttentionMask: causal must be False for two sequences, got True."),
    (lambda: SegmentPooling("median"), "SegmentPooling: reduction must be one of ['mean', 'max', 'first', 'last'], got 'median'."),
    (lambda: SegmentPooling()([STEPS, IDS]), "SegmentPooling: the input must be [steps [B, L, D], segment ids [B, L], segment mask [B, S]], got [(2, 4, 2), (2, 4)]."),
    (lambda: SegmentRNN(keras.layers.LSTM(3)), "SegmentRNN: cell must be a recurrent cell, got <LSTM"),
    (lambda: SegmentRNN(keras.layers.GRUCell(3, dropout=0.5)), "SegmentRNN: cell must have no dropout, got {'dropout': 0.5, 'recurrent_dropout': 0.0}. Put MaskedDropout"),
    (lambda: SegmentRNN(keras.layers.GRUCell(3))([STEPS]), "SegmentRNN: the input must be [steps [B, L, D], segment ids [B, L]], got [(2, 4, 2)]."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        call()


def test_a_query_sees_its_own_segment_and_padding_sees_nothing() -> None:
    allowed = np.array(SegmentAttentionMask()(IDS)).astype(int)
    assert allowed[0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    memory = np.array([[1, 2, 2, 0, 0], [3, 0, 0, 0, 0]], "int32")
    crossed = np.array(SegmentAttentionMask()([IDS, memory])).astype(int)
    assert crossed.shape == (2, 4, 5)
    assert crossed[1].tolist() == [[0] * 5, [0] * 5, [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("mean", [[1.0, 2.0], [4.0, 5.0], [0.0, 0.0]]),
        ("max", [[2.0, 3.0], [4.0, 5.0], [0.0, 0.0]]),
        ("first", [[0.0, 1.0], [4.0, 5.0], [0.0, 0.0]]),
        ("last", [[2.0, 3.0], [4.0, 5.0], [0.0, 0.0]]),
    ],
)
def test_a_segment_is_reduced_to_one_vector(reduction: Any, expected: list[list[float]]) -> None:
    steps = STEPS.copy()
    steps[0, 3] = 1e30  # padding
    pooled = SegmentPooling(reduction)([steps, IDS, SEGMENTS])
    assert np.array(pooled)[0].tolist() == expected


def test_means_are_exact_in_half_precision() -> None:
    steps = np.full((1, 4096, 1), 1 / 3, "float16")
    layer = SegmentPooling("mean", dtype="mixed_float16")
    pooled = layer([steps, np.ones((1, 4096), "int32"), np.ones((1, 1), bool)])
    assert keras.backend.standardize_dtype(pooled.dtype) == "float16"
    assert float(pooled[0, 0, 0]) == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.parametrize(
    "cell", [keras.layers.SimpleRNNCell, keras.layers.GRUCell, keras.layers.LSTMCell]
)
@pytest.mark.parametrize("go_backwards", [False, True])
def test_each_segment_is_what_it_is_alone(cell: Any, *, go_backwards: bool) -> None:
    layer = SegmentRNN(cell(3), go_backwards=go_backwards)
    packed = np.array(layer([STEPS, IDS]))
    for row, slots in ((0, slice(2)), (0, slice(2, 3)), (1, slice(1)), (1, slice(2, 4))):
        alone = layer([STEPS[row : row + 1, slots], IDS[row : row + 1, slots]])
        np.testing.assert_allclose(packed[row, slots], alone[0], atol=1e-6)
    rnn = keras.layers.RNN(layer.cell, return_sequences=True, go_backwards=go_backwards)
    stock = np.array(rnn(STEPS[1:, 2:]))[0]
    np.testing.assert_allclose(packed[1, 2:], stock[::-1] if go_backwards else stock, atol=1e-6)
