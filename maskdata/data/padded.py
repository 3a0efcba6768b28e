"""Padded batches -> blocks of ragged rows."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, final, get_args

import numpy as np
import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks
from maskdata.data._names import holes_name
from maskdata.data._padding import PadValue
from maskdata.data._types import Element
from maskdata.data._unpadding import (
    before_the_padding,
    check_padded_axis,
    first_steps,
    has_value,
    pad_value_of,
    same_steps,
)
from maskdata.data.dense import Side


@final
@dataclass(frozen=True)
class FromPadded:
    """Take the padding out of dense features.

    Stage: padded batches -> **blocks of ragged rows**.

    The way in for arrays that are padded already. What is padding is told by exactly one of
    `lengths`, `mask` and `pad_value`. With the first two no value is looked at, and the feature
    that told it leaves: from here on each row knows its steps. With `pad_value`, padding is the
    longest run at the end of the row in which every column has that value; the same value further
    inside is data. **Values cannot tell everything**: a real last step that equals the pad value
    is taken for padding. Pass `lengths` or `mask` if you have them.

    A row that is wholly padding stays, as a row without steps. Features that are not named pass
    through untouched: name all whose steps belong together.

    Args:
        features: One feature, or several with the same padding.
        pad_value: What fills the padding, for all features or as a mapping by feature. A step
            is padding if each feature of the mapping has its value there, whatever the others
            have: `{"tokens": 0}`. 0 means the zero of the dtype: "" for strings; NaN is NaN.
        lengths: The feature that holds how many steps each row has.
        mask: The feature that is True, or not 0, where a step is data.
        side: Where the padding stands.
        holes: Whether to take out padding inside of rows too: steps at which the mask is False, or
            that have the pad value. An int64 feature, called after the first as `tokens_holes`,
            counts them in each row. The steps around a hole become neighbours: the same for a
            recurrent layer, which skips masked steps, but another sequence for convolutions,
            positions and whatever else counts steps.
        axis: The padded axis. 2 is for padding inside of steps, as of the characters of words, once
            axis 1 is ragged: [B, (T), M, ...] becomes [B, (T), (M), ...].

    Shapes:
        in: `features` [B, L, ...] dense; `lengths` [B] int, or `mask` [B, L] bool or int
        out: `features` [B, (T), ...] ragged; with `holes` also `tokens_holes` [B] int64

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a feature that
            is missing or not padded on this axis, for lengths or a mask of another shape or dtype,
            and for a pad value that the dtype cannot hold.
        tf.errors.InvalidArgumentError: When read, for features of different lengths L, for
            row lengths below 0 or above L, and for a mask with holes that are not allowed.

    Example:
        >>> rows = md.from_rows({"tokens": np.array([[7, 0, 9, 0], [5, 0, 0, 0]]), "n": [4, 1]})
        >>> by_length = rows.apply(md.FromPadded("tokens", lengths="n")).get_single_element()
        >>> by_value = rows.apply(md.FromPadded("tokens", pad_value=0)).get_single_element()
        >>> by_length["tokens"].to_list(), by_value["tokens"].to_list()
        ([[7, 0, 9, 0], [5]], [[7, 0, 9], [5]])

    Source: `tf.RaggedTensor.from_tensor`, which knows neither masks nor padding on the left.
    """

    features: str | Sequence[str]
    _: KW_ONLY
    pad_value: PadValue | Mapping[str, PadValue] | None = None
    lengths: str | None = None
    mask: str | None = None
    side: Side = "right"
    holes: bool = False
    axis: int = 1

    def __post_init__(self) -> None:
        _check.names("FromPadded", "features", self._names)
        ways = {"pad_value": self.pad_value, "lengths": self.lengths, "mask": self.mask}
        given = {way: value for way, value in ways.items() if value is not None}
        if len(given) != 1:
            must = "one of pad_value, lengths and mask must be given"
            remedy = "With lengths or a mask no value is taken for padding."
            _check.refuse("FromPadded", must, given, remedy)
        if self.pad_value is not None:
            self._check_pad_values()
        for way, name in given.items():
            if way != "pad_value":
                _check.name("FromPadded", way, name)
                if name in self._names:
                    must = f"{way} must not be among features"
                    remedy = "It leaves by itself: from here on the rows know their steps."
                    _check.refuse("FromPadded", must, name, remedy)
        _check.one_of("FromPadded", "side", self.side, get_args(Side))
        _check.boolean("FromPadded", "holes", self.holes)
        if self.holes and self.lengths is not None:
            must = "holes must be False with lengths"
            _check.refuse("FromPadded", must, self.holes, "Pass a mask that has them.")
        _check.integer("FromPadded", "axis", self.axis)

    def _check_pad_values(self) -> None:
        if not self._pad_values:
            must = "pad_value must name a feature"
            _check.refuse("FromPadded", must, self.pad_value, "Pass {'tokens': 0}.")
        for name, value in self._pad_values.items():
            if name not in self._names:
                must = f"pad_value must name some of {list(self._names)}"
                _check.refuse("FromPadded", must, name, "Name it among features too.")
            if not isinstance(value, int | float | str | bytes | np.number):
                must = f"the pad value of {name!r} must be a number or a string"
                _check.refuse("FromPadded", must, value, "Pass one.", TypeError)

    @property
    def _names(self) -> Sequence[str]:
        return [self.features] if isinstance(self.features, str) else self.features

    @property
    def _pad_values(self) -> Mapping[str, Any]:
        if isinstance(self.pad_value, Mapping):
            return self.pad_value
        return {} if self.pad_value is None else dict.fromkeys(self._names, self.pad_value)

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset with ragged features in place of padded ones."""
        spec = _check.blocks("FromPadded", dataset)
        first = self._names[0]
        check_padded_axis(spec, self._names, self.lengths, self.mask, self.axis)
        counted = holes_name(first, self.axis)
        if self.holes:
            _check.new_features("FromPadded", spec, [counted])
        pad_values = {
            name: pad_value_of(name, value, spec[name].dtype)
            for name, value in self._pad_values.items()
        }
        told_by = [name for name in (self.lengths, self.mask) if name is not None]

        def take_out(element: Element) -> Element:
            padded = {name: element[name] for name in (*self._names, *told_by)}
            with tf.control_dependencies(same_steps(padded, self.lengths)):
                rows = {name: _at_the_axis(feature) for name, feature in padded.items()}
                is_data = self._is_data(rows, pad_values)
            is_kept = before_the_padding(is_data, self.side)
            holes = tf.math.count_nonzero(is_kept & ~is_data, axis=1)
            with tf.control_dependencies(self._no_holes(holes)):
                is_kept = tf.identity(is_data if self.holes else is_kept)
            changed = {name: f for name, f in element.items() if name not in told_by}
            for name in self._names:
                changed[name] = _put_back(element[name], dense_to_ragged(rows[name], is_kept))
            if self.holes:
                changed[counted] = _put_back(element[first], holes)
            return changed

        return map_blocks(dataset, take_out)

    def _is_data(self, rows: Element, pad_values: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Return which slots hold data, as far as is told: [B, L] bool."""
        if self.mask is not None:
            return tf.cast(rows[self.mask], tf.bool)
        if self.lengths is not None:
            return first_steps(rows[self._names[0]], rows[self.lengths], self.side, self.lengths)
        is_pad = [has_value(rows[name], value) for name, value in pad_values.items()]
        return ~tf.reduce_all(is_pad, axis=0)

    def _no_holes(self, holes: tf.Tensor) -> list[tf.Operation]:
        """Refuse a mask with holes, unless they are allowed; a pad value inside a row is data."""
        if self.mask is None or self.holes:
            return []
        where, other = {
            "right": ("before the last", "left"),
            "left": ("after the first", "right"),
        }[self.side]
        message = (
            f"FromPadded: {self.mask} must have no False {where} True of a row. Pass side={other} "
            "if the padding stands there, or holes=True to take such steps out. Each row has:"
        )
        return [tf.debugging.assert_equal(holes, tf.zeros_like(holes), message)]


def dense_to_ragged(dense: tf.Tensor, is_data: tf.Tensor) -> tf.RaggedTensor:
    """Return the steps of `dense` [B, L, ...] that are data as ragged [B, (T), ...].

    >>> mask = tf.constant([[True, False], [True, True]])
    >>> md.data.padded.dense_to_ragged(tf.constant([[1, 2], [3, 4]]), mask).to_list()
    [[1], [3, 4]]
    """
    return tf.RaggedTensor.from_row_lengths(
        tf.boolean_mask(dense, is_data), tf.math.count_nonzero(is_data, axis=1), validate=False
    )


def _at_the_axis(feature: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
    """Return the rows whose axis 1 is the padded one."""
    return feature.flat_values if isinstance(feature, tf.RaggedTensor) else feature


def _put_back(feature: tf.Tensor | tf.RaggedTensor, rows: Any) -> Any:
    """Return `rows` under the ragged axes of `feature`."""
    if not isinstance(feature, tf.RaggedTensor):
        return rows
    if isinstance(rows, tf.RaggedTensor):
        rows = rows.with_row_splits_dtype(feature.row_splits.dtype)
    return feature.with_flat_values(rows)
