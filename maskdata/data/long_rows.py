"""Blocks of rows -> blocks without rows that are too long: left out, or split into windows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks, take_rows
from maskdata.data._names import window_name
from maskdata.data._types import Element


@final
@dataclass(frozen=True)
class DropLong:
    """Leave out rows that are too long.

    Stage: blocks or ragged batches -> **the same, without long rows**.

    A row is left out with all its features if any of those in `lengths` is longer than allowed.
    `describe(batches, source=rows)` counts the rows lost.

    Args:
        lengths: The most steps a row may have, for each feature that counts.

    Shapes:
        in: `name` [N, (T), ...] ragged, other features [N, ...]
        out: the same features; fewer rows, T at most `lengths[name]`

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a feature that
            is missing or not ragged.

    Example:
        >>> rows = md.from_rows({"tokens": [[1, 2, 3, 4], [5]], "label": [0, 1]})
        >>> short = rows.apply(md.DropLong({"tokens": 3}))
        >>> short.get_single_element()["label"].numpy().tolist()
        [1]
        >>> md.describe(short, source=rows).rows_lost
        1
    """

    lengths: Mapping[str, int]

    def __post_init__(self) -> None:
        _check.lengths("DropLong", self.lengths)

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset without its long rows."""
        spec = _check.blocks("DropLong", dataset)
        for name in self.lengths:
            _check.ragged_feature("DropLong", spec, name)

        def drop(element: Element) -> Element:
            fits = [element[name].row_lengths() <= length for name, length in self.lengths.items()]
            kept: Element = take_rows(element, tf.where(tf.reduce_all(fits, axis=0))[:, 0])
            return kept

        return map_blocks(dataset, drop)


@final
@dataclass(frozen=True)
class SplitLong:
    """Split rows that are too long into windows, each a row of its own.

    Stage: blocks or ragged batches -> **the same, long rows as several rows**.

    A row of `n` steps becomes `n / length` rows, rounded up; the last may be shorter. A row without
    steps stays one row. Features that are not named are repeated for each window: name all whose
    steps belong together. An int64 feature, called after the first as `tokens_window`, numbers
    the windows of a row from 0; `describe` counts the rows that were added.

    Args:
        features: The features to split, which have the same number of steps in each row.
        length: The most steps of a window.

    Shapes:
        in: `features` [N, (T), ...] ragged, other features [N, ...]
        out: the same features; more rows, T at most `length`; `tokens_window` [N] int64

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a feature that
            is missing or not ragged, or if `tokens_window` exists.
        tf.errors.InvalidArgumentError: When read, if the features differ in their steps.

    Example:
        >>> rows = md.from_rows({"tokens": [[1, 2, 3, 4, 5], [6]], "label": [0, 1]})
        >>> windows = rows.apply(md.SplitLong(["tokens"], length=2)).get_single_element()
        >>> windows["tokens"].to_list(), windows["label"].numpy().tolist()
        ([[1, 2], [3, 4], [5], [6]], [0, 0, 0, 1])
        >>> windows["tokens_window"].numpy().tolist()
        [0, 1, 2, 0]
    """

    features: Sequence[str]
    length: int

    def __post_init__(self) -> None:
        _check.names("SplitLong", "features", self.features)
        _check.integer("SplitLong", "length", self.length)

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset with its long rows split."""
        spec = _check.blocks("SplitLong", dataset)
        number = window_name(self.features[0])
        _check.new_features("SplitLong", spec, [number])
        for name in self.features:
            _check.ragged_feature("SplitLong", spec, name)

        def split(element: Element) -> Element:
            lengths = self._lengths_of(element)
            row, window, window_lengths = plan_windows_of_rows(lengths, self.length)
            rest = {name: f for name, f in element.items() if name not in self.features}
            changed: Element = take_rows(rest, row) | {number: window}
            for name in self.features:
                # The steps stay where they are: only where rows begin is another question.
                changed[name] = tf.RaggedTensor.from_row_lengths(
                    element[name].values,
                    tf.cast(window_lengths, element[name].row_splits.dtype),
                    validate=False,
                )
            return {name: changed[name] for name in [*element, number]}

        return map_blocks(dataset, split)

    def _lengths_of(self, element: Element) -> tf.Tensor:
        first, *others = (tf.cast(element[n].row_lengths(), tf.int64) for n in self.features)
        message = f"SplitLong: {', '.join(self.features)} must have the same steps in each row. Split features of other lengths apart."
        checks = [tf.debugging.assert_equal(other, first, message=message) for other in others]
        with tf.control_dependencies(checks):
            return tf.identity(first)


def plan_windows_of_rows(
    row_lengths: tf.Tensor, length: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return for each window its row, its number in the row, and its steps.

    >>> row, window, steps = md.data.long_rows.plan_windows_of_rows(tf.constant([5, 0], tf.int64), 2)
    >>> row.numpy().tolist(), window.numpy().tolist(), steps.numpy().tolist()
    ([0, 0, 0, 1], [0, 1, 2, 0], [2, 2, 1, 0])
    """
    num_windows = tf.maximum(-(-row_lengths // length), 1)
    row = tf.repeat(tf.range(tf.size(row_lengths, tf.int64)), num_windows)
    window = tf.ragged.range(num_windows).values
    steps = tf.minimum(tf.gather(row_lengths, row) - window * length, length)
    return row, window, steps
