"""Batches -> how many rows, steps and padding slots they hold, as an object and a table."""

import io
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, final

import tensorflow as tf
from rich.console import Console
from rich.table import Table

from maskdata._progress import progress
from maskdata.data import _check
from maskdata.data._blocks import map_blocks, num_rows
from maskdata.data._names import ROW_MASK, cut_name, mask_name, row_mask_name, window_name
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
    """

    steps: int = 0
    slots: int = 0
    empty_rows: int = 0
    steps_cut: int = 0
    lengths: list[int] = field(default_factory=list)
    shapes: Counter[tuple[int, ...]] = field(default_factory=Counter)

    @property
    def padding(self) -> float:
        """The share of the slots that is padding."""
        return 1 - self.steps / self.slots if self.slots else 0.0


@final
@dataclass
class Description:
    """What a dataset holds; `print` it for a table.

    Attributes:
        batches: How many batches.
        rows: How many rows.
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

    def __rich__(self) -> Table:
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
        return table

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=100)
        console.print(self)
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        return "\n".join(line.rstrip() for line in lines)


def describe(dataset: tf.data.Dataset, *, source: tf.data.Dataset | None = None) -> Description:
    """Count rows, steps and padding, by reading the dataset once.

    Stage: blocks, batches, or what `ToKeras` gives -> **a description**.

    A feature has steps if it is ragged, or if its mask stands beside it; targets have those steps
    whose weight is not 0. Nothing of the dataset is changed.

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
    measured = {}
    is_added = tf.zeros([num_rows(element)], tf.bool)
    is_data = element.get(ROW_MASK, tf.ones([num_rows(element)], tf.bool))
    for name, feature in element.items():
        if window_name(name) in element:
            is_added |= element[window_name(name)] > 0
        masks = [mask_name(name, level) for level in (3, 2, 1) if mask_name(name, level) in element]
        if isinstance(feature, tf.RaggedTensor):
            shape = feature.bounding_shape(out_type=tf.int64)[: feature.ragged_rank + 1]
            steps = tf.cast(feature.nested_row_splits[-1][-1], tf.int64)
            empty = feature.row_lengths() == 0
        elif masks:
            mask = tf.cast(element[masks[0]], tf.bool)
            shape = tf.shape(mask, tf.int64)
            has_steps = element.get(
                row_mask_name(name), tf.reduce_any(mask, axis=range(1, mask.shape.rank))
            )
            steps = tf.math.count_nonzero(tf.boolean_mask(mask, has_steps))
            empty = is_data & ~has_steps
        else:
            continue
        cut = element.get(cut_name(name), tf.zeros([], tf.int64))
        measured[name] = {
            "steps": steps,
            "shape": shape,
            "empty_rows": tf.math.count_nonzero(empty),
            "steps_cut": tf.reduce_sum(cut),
        }
    fillers = tf.math.count_nonzero(~is_data)
    windows = tf.math.count_nonzero(is_added & is_data)
    return num_rows(element) - fillers, fillers, windows, measured
