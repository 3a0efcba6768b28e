"""Padding never changes a layer: each row is what it is alone, and so are all gradients."""

import functools
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdata._masks import keras_mask
from maskdata.layers import AttachMask
from tests.invariance.layer_calls import FEATURES
from tests.invariance.layer_cases import CASES

row_lengths = st.lists(st.integers(0, 7), min_size=2, max_size=3)
fillings = st.sampled_from([0.0, 99.0, 1e30, -1e30])


@functools.cache
def built(name):
    """Return our layer, the stock layer with the same weights, and what a row alone must be."""
    keras.utils.set_random_seed(zlib.crc32(name.encode()))
    case = CASES[name]
    ours, stock = case.ours(), case.stock()
    sample = tf.zeros([1, 8, FEATURES])
    case.call(ours, AttachMask()([sample, tf.ones([1, 8])]))
    case.call(stock, sample)
    if getattr(ours, "weights", None):
        weights = [np.random.normal(size=w.shape) * 0.5 for w in ours.get_weights()]
        ours.set_weights(weights)
        stock.set_weights(weights)
    if case.alone is None:
        alone, weights = lambda row, number: case.call(stock, row), stock
    else:
        alone, weights = lambda row, number: case.alone(ours, row, number), ours
    return case, ours, stock, alone, getattr(weights, "trainable_variables", [])


def random_rows(lengths, seed):
    random = np.random.default_rng(seed)
    return [random.normal(size=(length, FEATURES)).astype("float32") for length in lengths]


def pad(rows, length, side, filling):
    """Return the rows as one array with its mask, padded on one side or anywhere."""
    padded = np.full((len(rows), length, FEATURES), filling, "float32")
    mask = np.zeros((len(rows), length), bool)
    for number, row in enumerate(rows):
        slots = {
            "right": slice(len(row)),
            "left": slice(length - len(row), length),
            "holes": np.sort(np.random.default_rng(number).permutation(length)[: len(row)]),
        }[side]
        padded[number, slots], mask[number, slots] = row, True
    return padded, mask


def listed(outputs):
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def weighed_sum(outputs, inputs):
    """Return a number that depends on every value of the outputs of every row."""
    total = 0.0 * tf.reduce_sum(inputs)  # also if there are none
    for number, of_row in enumerate(outputs):
        for output in of_row:
            weights = np.random.default_rng(number).normal(size=output.shape)
            total += tf.reduce_sum(output * weights.astype("float32"))
    return total


def gradients(tape, value, sources):
    found = zip(tape.gradient(value, sources), sources, strict=True)
    return [np.zeros(x.shape) if g is None else tf.convert_to_tensor(g).numpy() for g, x in found]


def valid(output, mask, number):
    """Return the valid steps of one row, or the row itself if there is no mask."""
    return output[number] if mask is None else tf.boolean_mask(output[number], mask[number])


def alone(name, rows):
    """Return the outputs of each row, their gradients by the rows, and those by the weights."""
    case, *_, run, weights = built(name)
    shortest = case.shortest_row
    rows = [tf.constant(row[None]) for row in rows]
    outputs = []
    with tf.GradientTape() as tape:
        tape.watch(rows)
        for number, row in enumerate(rows):
            # Keras refuses rows that are shorter than a window, or stops the process.
            found = listed(run(row, number)) if row.shape[1] >= shortest else []
            masks = [keras_mask(output) for output in found]
            outputs.append(
                [valid(output, mask, 0) for output, mask in zip(found, masks, strict=True)]
            )
        value = weighed_sum(outputs, rows[0])
    found = gradients(tape, value, [*rows, *weights])
    return outputs, [gradient[0] for gradient in found[: len(rows)]], found[len(rows) :]


def together(name, layer, rows, length, side, filling, masks=None):
    """Return the same of the padded batch; the masks; and whether the input has its mask still.

    The outputs of a row are those at the steps that their masks, or the given ones, call valid.
    """
    case = built(name)[0]
    batch, mask = pad(rows, length, side, filling)
    batch, weights = tf.constant(batch), getattr(layer, "trainable_variables", [])
    with tf.GradientTape() as tape:
        tape.watch(batch)
        h = AttachMask()([batch, mask])
        found = listed(case.call(layer, h))
        masks = masks or [keras_mask(output) for output in found]
        outputs = [
            [
                valid(output, mask_of_output, number)
                for output, mask_of_output in zip(found, masks, strict=True)
            ]
            for number in range(len(rows))
        ]
        not_empty = [of_row if len(row) else [] for of_row, row in zip(outputs, rows, strict=True)]
        value = weighed_sum(not_empty, batch)
    by_batch, *by_weights = gradients(tape, value, [batch, *weights])
    finite = all(np.isfinite(output).all() for output in found)
    by_row = [gradient[m] for gradient, m in zip(by_batch, mask, strict=True)]
    kept = keras_mask(h) is not None
    own_masks = [keras_mask(output) for output in found]
    return outputs, by_row, by_weights, by_batch[~mask], own_masks, kept, finite


def distance(found, expected):
    """Return the largest difference, relative to the largest number, or infinity for other shapes."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        if one.shape != other.shape:
            return np.inf
        if np.size(other):
            difference = np.abs(np.asarray(one) - np.asarray(other)).max()
            worst = max(worst, difference / max(1.0, np.abs(other).max()))
    return worst


def errors(name, layer, rows, length, side, filling, masks=None):
    """Return how far the padded batch is from its rows alone, in what Keras would take it for."""
    outputs, by_row, by_weights = alone(name, rows)
    found = together(name, layer, rows, length, side, filling, masks)
    values = 0.0
    for row, of_row, expected in zip(rows, found[0], outputs, strict=True):
        expected = expected or [np.zeros((0, *output.shape[1:])) for output in of_row]
        values = max(values, distance(of_row, expected) if len(row) else 0.0)
    has_masks = masks is None or all(
        (one is None) == (other is None) for one, other in zip(found[4], masks, strict=True)
    )
    return {
        "values": values,
        "gradients": max(distance(found[1], by_row), distance(found[2], by_weights)),
        "gradients of padding": np.abs(found[3]).max(initial=0.0),
        "mask": 0.0 if has_masks else np.inf,
        "input's mask": 0.0 if found[5] else np.inf,
        "numbers": 0.0 if found[6] else np.inf,
    }


@pytest.mark.filterwarnings("ignore:.*softmax over axis:UserWarning")  # of a row of one step
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=settings().max_examples // 3)  # an example runs many layers
@given(
    lengths=row_lengths,
    extra=st.integers(0, 3),
    data=st.data(),
    filling=fillings,
    seed=st.integers(0, 2**16),
)
def test_each_row_is_what_it_is_alone(name, lengths, extra, data, filling, seed):
    side = data.draw(st.sampled_from(built(name)[0].sides))
    rows, length = random_rows(lengths, seed), max(1, max(lengths) + extra)
    found = errors(name, built(name)[1], rows, length, side, filling)
    assert max(found.values()) <= 1e-5, found


@pytest.mark.filterwarnings("ignore:Layer .*does not support masking:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_stock_layer_fails(name):
    case, ours, stock, *_ = built(name)
    rows = random_rows([5, 0, 2, 4], seed=0)
    worst = {}
    for side in "right", "left":
        masks = together(name, ours, rows, 8, side, 99.0)[4]
        try:
            found = errors(name, stock, rows, 8, side, 99.0, masks)
        except ValueError:
            found = {"refuses": np.inf}
        worst |= {what: max(error, worst.get(what, 0.0)) for what, error in found.items()}
    assert next(what for what, error in worst.items() if error > 1e-3) == case.fault
