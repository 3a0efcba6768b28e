"""Blocks of rows -> dense batches of packed rows + segment ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final, get_args

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._best_fit import best_fit
from maskdata.data._blocks import Rows, _same_number_of_rows, largest, map_blocks
from maskdata.data._in_order import complete_batches, concat_then_split, first_fit
from maskdata.data._names import (
    SEGMENT_MASK,
    mask_name,
    positions_name,
    segment_ids_name,
    window_name,
)
from maskdata.data._packed_batches import batch_packed_rows
from maskdata.data._padding import PadValue, check_pad_value, pad_constant
from maskdata.data._pools import number_rows, pool_by_pool
from maskdata.data._segments import pack_segments
from maskdata.data._types import Element, Spec

Method = Literal["best_fit", "first_fit", "concat_then_split"]


@final
@dataclass(frozen=True)
class Pack:
    """Put several short rows into one, so that almost nothing is padding.

    Stage: blocks -> **dense batches of packed rows + segment ids**.

    A row becomes a segment of a packed row, whole and in order. Each feature `name` in `lengths`
    gets `name_segment_ids`, 1 for the steps of the first segment, 2 for those of the second, 0 for
    padding; `name_positions`, which begin at 0 in each segment; and `name_mask`. All other features
    have one value a segment: that of segment `s` of packed row `b` is at `[b, s - 1]`, and
    `segment_mask` tells which of these are rows of the data. A row without steps is a segment
    without steps. Nothing depends on how the input is cut into blocks. How full packed rows are, and
    so their number, depends on the order of the rows: `CountBatches` wants the same in each epoch.

    The model must keep segments apart, with `layers.SegmentAttentionMask`. `unpack` gives the rows
    back; `plan_buckets` and `describe` tell whether packing pays.

    Args:
        lengths: The padded length L in steps of each ragged feature. All of them must be named.
        batch_size: B, the packed rows in a batch. At the end of the input, some of the last batch
            may be wholly padding, without a segment: the shape is always the same.
        method: `"best_fit"` leaves the least padding: of `buffer_size` rows at a time, each goes
            where it fits best, and at most about a fifth of them wait for the next ones.
            `"first_fit"` stays near the order of arrival: a row goes to the first packed row of
            the batch that has room, and if none has, it begins the next batch.
            `"concat_then_split"` leaves no padding: rows follow one another without a gap, and
            where a packed row ends the row is split into windows, which are segments each. An
            int64 feature, called after the first as `tokens_window`, numbers the windows of a
            row from 0. All `lengths` must be the same, and all features have the same steps.
        max_segments: S, the most rows in a packed row; with `"concat_then_split"`, which cannot
            choose, more are an error. None: S is the most in the batch.
        drop_remainder: Whether to drop the last batch if it is not full. `describe(batches,
            source=rows)` counts the rows lost.
        buffer_size: How many rows `"best_fit"` places at a time.
        pad_values: What fills the padding of features with steps, as in `ToDense`.
        seed: How `"best_fit"` mixes the packed rows, which it makes sorted by their longest row.

    Shapes:
        in: `name` [N, (T), ...] ragged, other features [N, ...]
        out: `name` [B, L, ...], `name_segment_ids` and `name_positions` [B, L] int32, `name_mask`
            [B, L] bool, nested also `name_mask_2` [B, L, M] bool; others [B, S, ...],
            `segment_mask` [B, S] bool

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a feature that
            is missing or not ragged, for a ragged feature without a length, and for features
            that would be overwritten.
        tf.errors.InvalidArgumentError: When read, for a row longer than its length, for features
            with different numbers of rows, and for too many segments.

    Example:
        >>> rows = md.from_rows({"tokens": [[1, 2, 3], [4, 5, 6], [7]], "label": [8, 9, 5]})
        >>> [batch] = rows.apply(md.Pack({"tokens": 4}, batch_size=2, method="first_fit"))
        >>> batch["tokens"].numpy().tolist(), batch["label"].numpy().tolist()
        ([[1, 2, 3, 7], [4, 5, 6, 0]], [[8, 5], [9, 0]])
        >>> batch["tokens_segment_ids"].numpy().tolist(), batch["tokens_positions"].numpy().tolist()
        ([[1, 1, 1, 2], [1, 1, 1, 0]], [[0, 1, 2, 0], [0, 1, 2, 0]])
        >>> batch["segment_mask"].numpy().tolist()
        [[True, True], [True, False]]

    Source: Krell et al. 2021, https://arxiv.org/abs/2107.02027, on packing; Ding et al. 2024,
        https://arxiv.org/abs/2404.10830, on best fit and on what splitting costs. The names are
        those of seqio; `"first_fit"` makes the packed rows of grain's `FirstFitPackIterDataset`.
    """

    lengths: Mapping[str, int]
    batch_size: int
    method: Method = "best_fit"
    max_segments: int | None = None
    drop_remainder: bool = False
    buffer_size: int = 4096
    pad_values: PadValue | Mapping[str, PadValue] = 0
    seed: int = 0

    def __post_init__(self) -> None:
        _check.lengths("Pack", self.lengths)
        _check.integer("Pack", "batch_size", self.batch_size)
        _check.one_of("Pack", "method", self.method, get_args(Method))
        if self.max_segments is not None:
            _check.integer("Pack", "max_segments", self.max_segments)
        _check.boolean("Pack", "drop_remainder", self.drop_remainder)
        _check.integer("Pack", "buffer_size", self.buffer_size)
        _check.integer("Pack", "seed", self.seed, minimum=0)
        for name, value in _by_feature(self.pad_values, self.lengths).items():
            check_pad_value("Pack", f"pad_values[{name!r}]", value)
        if self.method == "concat_then_split" and len(set(self.lengths.values())) > 1:
            _check.refuse(
                "Pack",
                "all lengths must be the same with method='concat_then_split'",
                self.lengths,
                "Rows of several features are split where all of them end.",
            )

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset packed."""
        spec = self._check_features(_check.movable_rows("Pack", dataset))
        pad_values = {
            name: pad_constant("Pack", name, value, spec[name].dtype)
            for name, value in _by_feature(self.pad_values, self.lengths).items()
        }

        # Where rows are placed, each takes a step or more: only where they are split, none may.
        is_split = self.method == "concat_then_split"
        at_most = self.max_segments if is_split else max(self.lengths.values())

        def make_batch(rows: Rows, row_splits: tf.Tensor) -> Element:
            return pack_segments(
                rows,
                row_splits,
                self.lengths,
                max_segments=self.max_segments,
                pad_values=pad_values,
                at_most=at_most,
            )

        measured = self._before_packing(dataset)
        return batch_packed_rows(measured, self._packed_row_of, make_batch, self.batch_size, "Pack")

    def _check_features(self, spec: Spec) -> Spec:
        for name, found in spec.items():
            if isinstance(found, tf.RaggedTensorSpec) and name not in self.lengths:
                remedy = "Name its padded length too, or drop the feature: its steps would be lost."
                _check.refuse("Pack", f"ragged feature {name!r} must be in lengths", found, remedy)
        added = [SEGMENT_MASK]
        for name in self.lengths:
            levels = _check.ragged_feature("Pack", spec, name).ragged_rank
            added += [segment_ids_name(name), positions_name(name)]
            added += [mask_name(name, level) for level in range(1, levels + 1)]
        if self.method == "concat_then_split":
            added.append(window_name(next(iter(self.lengths))))
        _check.new_features("Pack", spec, added)
        return spec

    def _before_packing(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return blocks of rows with what `_packed_row_of` wants to know of them."""
        measured = map_blocks(dataset, self._measure)
        if self.method == "best_fit":
            return number_rows(measured)
        names, lengths = list(self.lengths), list(self.lengths.values())
        if self.method == "first_fit":
            return first_fit(
                measured, lengths, batch_size=self.batch_size, max_segments=self.max_segments
            )
        return concat_then_split(measured, names, lengths[0], window_name(names[0]))

    def _measure(self, rows: Element) -> Rows:
        """Return rows and their lengths [N, F]."""
        with tf.control_dependencies([_same_number_of_rows(rows, "Pack")]):
            by_name = {name: tf.cast(rows[name].row_lengths(), tf.int64) for name in self.lengths}
        is_split = self.method == "concat_then_split"
        checks = _same_steps(by_name) if is_split else _short_enough(by_name, self.lengths)
        with tf.control_dependencies(checks):
            lengths = tf.stack(list(by_name.values()), axis=1)
        # Where rows are placed, one without steps takes one: else all would be in one packed row.
        return {"rows": rows, "lengths": lengths if is_split else tf.maximum(lengths, 1)}

    def _packed_row_of(self, rows: Rows, is_end: tf.Tensor) -> tf.Tensor:
        if self.method == "best_fit":
            return pool_by_pool(
                rows,
                lambda indices: best_fit(
                    tf.gather(rows["lengths"], indices),
                    tf.constant(list(self.lengths.values()), tf.int64),
                    batch_size=self.batch_size,
                    max_segments=self.max_segments,
                    seed=self.seed,
                    is_end=is_end,
                    drop_remainder=self.drop_remainder,
                ),
                self.buffer_size,
                is_end,
            )
        return complete_batches(
            rows["packed_row"],
            batch_size=self.batch_size,
            is_end=is_end,
            drop_remainder=self.drop_remainder,
        )


def _by_feature(
    values: PadValue | Mapping[str, PadValue], names: Mapping[str, Any]
) -> dict[str, PadValue]:
    """Return the value of each feature."""
    if not isinstance(values, Mapping):
        return dict.fromkeys(names, values)
    for name in values:
        _check.feature("Pack", dict(names), name)
    return {name: values.get(name, 0) for name in names}


def _short_enough(
    row_lengths: Mapping[str, tf.Tensor], lengths: Mapping[str, int]
) -> list[tf.Operation]:
    checks = []
    for name, length in lengths.items():
        longest = largest(row_lengths[name], or_else=0)
        message = f"Pack: rows of {name} must have at most {length} steps, got "
        remedy = ". Raise the length; or split rows with SplitLong, leave them out with DropLong or cut them with Truncate: each counts what it takes away."
        checks.append(_check.must_hold(longest <= length, message, longest, remedy))
    return checks


def _same_steps(row_lengths: Mapping[str, tf.Tensor]) -> list[tf.Operation]:
    first, *others = row_lengths.values()
    message = f"Pack: {', '.join(row_lengths)} must have the same steps in each row to be split together. Use best_fit for features of other lengths."
    return [_check.must_hold(tf.reduce_all(other == first), message) for other in others]
