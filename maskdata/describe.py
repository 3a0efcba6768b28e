"""Batches -> how many rows, steps and padding slots they hold, as an object and a table."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import tensorflow as tf
from rich.console import Group
from rich.table import Table

from maskdata._progress import progress
from maskdata._tables import as_text
from maskdata.data import _check
from maskdata.data._blocks import map_blocks, num_rows
from maskdata.data._names import (
    ROW_MASK,
    SEGMENT_MASK,
    cut_name,
    mask_name,
    positions_name,
    row_mask_name,
    window_name,
)
from maskdata.data._packed_rows import PackedRows, sample_lengths
from maskdata.data._types import Element


@final
@dataclass
class FeatureDescription:
    """What one padded (or ragged) feature holds.

    Attributes:
        steps: Real steps.
        slots: Real steps and padding: what the model computes. For a ragged feature, the slots
            that padding to the longest row of each batch would make.
        empty_rows: Rows without a step.
        steps_cut: Steps that `Truncate` removed.
        lengths: The padded length of each batch, in order.
        shapes: How many batches there are of each shape.
        row_lengths: How many rows there are of each length; empty if nested or packed.
    """

    steps: int = 0
    slots: int = 0
    empty_rows: int = 0
    steps_cut: int = 0
    lengths: list[int] = field(default_factory=list)
    shapes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    row_lengths: Counter[int] = field(default_factory=Counter)

    @property
    def padding(self) -> float:
        """The share of the slots that is padding."""
        return 1 - self.steps / self.slots if self.slots else 0.0

    @property
    def packed(self) -> PackedRows | None:
        """What `Pack` would make of the rows, in packed rows of the longest length; about."""
        if not self.steps or not self.row_lengths:
            return None
        lengths, counts = np.array(sorted(self.row_lengths.items()), np.int64).T
        sample, longest = sample_lengths(lengths[None], counts), (max(self.row_lengths),)
        return PackedRows.estimate(sample, longest, num_rows=int(counts.sum()), steps=self.steps)


@final
@dataclass
class Description:
    """What a dataset holds; `print` it for a table.

    Attributes:
        batches: How many batches.
        rows: How many rows; of packed rows, how many segments.
        filler_rows: How many more `FillRows` added.
        windows_added: How many of the rows are there because `SplitLong` split a row.
        features: A `FeatureDescription` for each feature that has steps.
        rows_lost: Rows of `source` that are not in the dataset; None without a source.
    """

    batches: int = 0
    rows: int = 0
    filler_rows: int = 0
    windows_added: int = 0
    features: dict[str, FeatureDescription] = field(default_factory=dict)
    rows_lost: int | None = None

    def __rich__(self) -> Group:
        lost = "" if self.rows_lost is None else f", {self.rows_lost:,} rows lost"
        fillers = f", {self.filler_rows:,} filler rows" if self.filler_rows else ""
        windows = f", {self.windows_added:,} rows added by splitting" if self.windows_added else ""
        table = Table(
            title=f"{self.rows:,} rows in {self.batches:,} batches{lost}{windows}{fillers}",
            title_justify="left",
        )
        table.add_column("feature")
        for column in ("steps", "padding", "shapes", "lengths", "empty rows", "steps cut"):
            table.add_column(column, justify="right")
        for name, feature in self.features.items():
            shortest, longest = min(feature.lengths, default=0), max(feature.lengths, default=0)
            table.add_row(
                name,
                f"{feature.steps:,}",
                f"{feature.padding:.1%}",
                f"{len(feature.shapes):,}",
                f"{shortest} to {longest}",
                f"{feature.empty_rows:,}",
                f"{feature.steps_cut:,}",
            )
        alike: dict[str, list[str]] = {}
        for name, feature in self.features.items():
            if packed := feature.packed:
                pairs = sum(n * rows * length**2 for (rows, length), n in feature.shapes.items())
                alike.setdefault(packed.compare(feature.slots, pairs), []).append(name)
        return Group(table, *(f"{', '.join(names)} {words}" for words, names in alike.items()))

    def __str__(self) -> str:
        return as_text(self)


def describe(dataset: tf.data.Dataset, *, source: tf.data.Dataset | None = None) -> Description:
    """Count rows, steps and padding, by reading the dataset once.

    Stage: blocks, batches, or what `ToKeras` gives -> **a description**.

    A feature has steps if it is ragged, or if its mask stands beside it; targets have those steps
    whose weight is not 0. The table also tells about how full `Pack` would make packed rows of the
    longest length, and whether that pays. Nothing of the dataset is changed.

    Args:
        dataset: The batches, as dicts or as the tuples of `ToKeras`.
        source: The rows that the batches were made from: its rows are counted too, to tell how
            many were lost (for example by `drop_remainder=True`).

    Shapes:
        in: any

    Raises:
        TypeError: When called, for something that is no dataset of features.

    Example:
        >>> rows = md.from_rows({"tokens": [[1, 2, 3], [4], [5, 6], [7]]})
        >>> batches = rows.apply(md.PaddedBatch(2))
        >>> description = md.describe(batches, source=rows)
        >>> description.batches, description.rows, description.rows_lost
        (2, 4, 0)
        >>> tokens = description.features["tokens"]
        >>> tokens.steps, tokens.slots, tokens.lengths, tokens.padding
        (7, 10, [3, 2], 0.30000000000000004)
    """
    _check.dataset("describe", dataset)
    description = Description()
    measured = map_blocks(dataset, lambda *element: _measure(_by_name(*element)))
    for rows, fillers, windows, features in progress(measured, "Describing batches"):
        description.batches += 1
        description.rows += int(rows)
        description.filler_rows += int(fillers)
        description.windows_added += int(windows)
        for name, numbers in features.items():
            _add(description.features.setdefault(name, FeatureDescription()), numbers)
    if source is not None:
        _check.blocks("describe", source)
        counted = map_blocks(source, num_rows).reduce(tf.constant(0, tf.int64), lambda a, b: a + b)
        rows_of_source = description.rows - description.windows_added
        description.rows_lost = int(counted) - rows_of_source
    return description


def _add(feature: FeatureDescription, numbers: dict[str, tf.Tensor]) -> None:
    feature.steps += int(numbers["steps"])
    feature.empty_rows += int(numbers["empty_rows"])
    feature.steps_cut += int(numbers["steps_cut"])
    shape = tuple(numbers["shape"].numpy().tolist())
    feature.slots += int(numbers["shape"].numpy().prod())
    feature.lengths.append(shape[1])
    feature.shapes[shape] += 1
    feature.row_lengths.update(numbers["row_lengths"].numpy().tolist())


def _by_name(x: Any, y: Any = None, sample_weight: Any = None) -> Element:
    """Return the features of an element, whatever its form; weights serve as masks of targets."""
    features = dict(x) if isinstance(x, dict) else {"x": x}
    targets = y if isinstance(y, dict) else {} if y is None else {"y": y}
    weights = sample_weight if isinstance(sample_weight, dict) else {"y": sample_weight}
    for name, target in targets.items():
        features[name] = target
        if weights.get(name) is not None and weights[name].shape.rank > 1:
            features[mask_name(name)] = weights[name] != 0
    return features


Measured = tuple[tf.Tensor, tf.Tensor, tf.Tensor, dict[str, dict[str, tf.Tensor]]]
"""Rows, filler rows, rows added by splitting, and what each feature holds."""


def _measure(element: Element) -> Measured:
    """Measure one element; the rows of packed rows are their segments, [B, S]."""
    measured = {}
    is_packed = SEGMENT_MASK in element
    has_rows = tf.ones([num_rows(element)], tf.bool)
    is_data = tf.cast(element.get(SEGMENT_MASK, element.get(ROW_MASK, has_rows)), tf.bool)
    is_added = tf.zeros_like(is_data)
    for name, feature in element.items():
        if window_name(name) in element:
            is_added |= element[window_name(name)] > 0
        masks = [mask_name(name, level) for level in (3, 2, 1) if mask_name(name, level) in element]
        if isinstance(feature, tf.RaggedTensor):
            shape = feature.bounding_shape(out_type=tf.int64)[: feature.ragged_rank + 1]
            steps = tf.cast(feature.nested_row_splits[-1][-1], tf.int64)
            row_lengths = feature.row_lengths()
            empty_rows = tf.math.count_nonzero(row_lengths == 0)
        elif masks:
            mask = tf.cast(element[masks[0]], tf.bool)
            shape = tf.shape(mask, tf.int64)
            if is_packed:
                steps = tf.math.count_nonzero(mask)
                row_lengths = tf.zeros([0], tf.int64)
                empty_rows = _empty_segments(element, name, is_data)
            else:
                found = tf.math.count_nonzero(mask, axis=range(1, mask.shape.rank))
                found = tf.where(element.get(row_mask_name(name), True), found, 0)
                steps = tf.reduce_sum(found)
                row_lengths = tf.boolean_mask(found, is_data)
                empty_rows = tf.math.count_nonzero(row_lengths == 0)
        else:
            continue
        cut = element.get(cut_name(name), tf.zeros([], tf.int64))
        measured[name] = {
            "steps": steps,
            "shape": shape,
            "empty_rows": empty_rows,
            "steps_cut": tf.reduce_sum(cut),
            "row_lengths": row_lengths if shape.shape[0] == 2 else row_lengths[:0],
        }
    rows = tf.math.count_nonzero(is_data)
    fillers = tf.zeros([], tf.int64) if is_packed else num_rows(element) - rows
    windows = tf.math.count_nonzero(is_added & is_data)
    return rows, fillers, windows, measured


def _empty_segments(element: Element, name: str, is_data: tf.Tensor) -> tf.Tensor:
    """Return how many segments have no step in a feature; 0 if it has no steps of segments."""
    if positions_name(name) not in element or mask_name(name) not in element:
        return tf.zeros([], tf.int64)
    is_first = tf.cast(element[mask_name(name)], tf.bool) & (element[positions_name(name)] == 0)
    return tf.math.count_nonzero(is_data) - tf.math.count_nonzero(is_first)
