"""Ragged batches -> dense batches + masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final, get_args

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks
from maskdata.data._names import mask_name
from maskdata.data._padding import (
    Length,
    Lengths,
    PadValue,
    check_lengths,
    check_pad_value,
    features_of_lengths,
    lengths_together,
    pad_constant,
    pad_rows,
)
from maskdata.data._types import Element

Side = Literal["right", "left"]


@final
@dataclass(frozen=True)
class ToDense:
    """Pad ragged features to dense ones, and mark which steps are real.

    Stage: ragged batches -> **dense batches + masks**.

    Each feature `name` becomes dense and a bool feature `name_mask` joins it: True where a step
    came from the data, False where it was filled. The mask is made from row lengths, never from
    values: id 0 and a feature of zeros are legal data. A nested feature [B, (T), (M)] gets one
    mask a ragged level: `name_mask` [B, L] and `name_mask_2` [B, L, M]. Other features pass
    through untouched.

    Args:
        features: Which ragged features to pad; all of them by default.
        lengths: The padded length L in steps, for all features or as a mapping by feature.
            None: the longest row of the batch. An int: exactly this; a longer row is an error.
            A list: the smallest of these that fits, so that only a few shapes exist. For a
            nested feature, a tuple with one of these for each ragged level. In a mapping, a tuple
            of features may have a list of tuples, `{("source", "target"): [(8, 12), (16, 20)]}`:
            the first of these in which the longest row of every feature fits, so that the
            lengths of several features together make only a few shapes.
        pad_values: What fills the padding, for all features or as a mapping by feature. 0 means
            the zero of the dtype: "" for strings, False for bools.
        side: Where the padding stands.

    Shapes:
        in: `name` [B, (T), ...] ragged
        out: `name` [B, L, ...]; `name_mask` [B, L] bool; nested also `name_mask_2` [B, L, M] bool

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a feature that
            is missing or not ragged, for a mask that would overwrite a feature, and for a
            pad value that the dtype cannot hold.
        tf.errors.InvalidArgumentError: When read, for a row longer than its length, and for features
            whose longest rows fit together into none of their lengths.

    Example:
        >>> rows = md.from_rows({"tokens": [[7, 0, 9], [5]]})
        >>> dense = rows.apply(md.ToDense(lengths=[4, 8])).get_single_element()
        >>> dense["tokens"].numpy().tolist()
        [[7, 0, 9, 0], [5, 0, 0, 0]]
        >>> dense["tokens_mask"].numpy().astype(int).tolist()
        [[1, 1, 1, 0], [1, 0, 0, 0]]

    Source: `tf.RaggedTensor.to_tensor`, which makes no mask and cuts long rows in silence.
    """

    features: Sequence[str] | None = None
    lengths: Lengths = None
    pad_values: PadValue | Mapping[str, PadValue] = 0
    side: Side = "right"

    def __post_init__(self) -> None:
        if self.features is not None:
            _check.names("ToDense", "features", self.features)
        check_lengths("ToDense", self.lengths)
        for name, value in _by_name("pad_values", self.pad_values):
            check_pad_value("ToDense", name, value)
        _check.one_of("ToDense", "side", self.side, get_args(Side))

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset padded, with masks."""
        spec = _check.blocks("ToDense", dataset)
        ragged = [name for name, s in spec.items() if isinstance(s, tf.RaggedTensorSpec)]
        names = ragged if self.features is None else self.features
        with_pad_values = self.pad_values if isinstance(self.pad_values, Mapping) else ()
        for name in (*features_of_lengths(self.lengths), *with_pad_values):
            _check.feature("ToDense", {n: s for n, s in spec.items() if n in names}, name)
        lengths, pad_values = {}, {}
        for name in names:
            levels = _check.ragged_feature("ToDense", spec, name).ragged_rank
            _check.new_features("ToDense", spec, (mask_name(name, i + 1) for i in range(levels)))
            lengths[name] = self._lengths_of(name, levels)
            pad_values[name] = pad_constant(
                "ToDense", name, self._pad_value_of(name), spec[name].dtype
            )

        def densify(element: Element) -> Element:
            dense = dict(element)
            together = lengths_together(element, self.lengths)
            for name in names:
                outer, *inner = lengths[name]
                dense[name], *masks = ragged_to_dense(
                    element[name],
                    lengths=[together.get(name, outer), *inner],
                    pad_value=pad_values[name],
                    side=self.side,
                    name=name,
                )
                dense |= {mask_name(name, i): mask for i, mask in enumerate(masks, start=1)}
            return dense

        return map_blocks(dataset, densify)

    def _lengths_of(self, name: str, levels: int) -> tuple[Any, ...]:
        length = self.lengths.get(name) if isinstance(self.lengths, Mapping) else self.lengths
        by_level = length if isinstance(length, tuple) else (length,) + (None,) * (levels - 1)
        if len(by_level) != levels:
            _check.refuse(
                "ToDense",
                f"lengths of {name!r} must have {levels} entries, one for each ragged level",
                length,
                "Pass a tuple of that many lengths, or a list for lengths to choose from.",
            )
        return by_level

    def _pad_value_of(self, name: str) -> PadValue:
        return (
            self.pad_values.get(name, 0)
            if isinstance(self.pad_values, Mapping)
            else self.pad_values
        )


def _by_name(argument: str, value: Any) -> list[tuple[str, Any]]:
    """Return (how to call it in an error, value) for each value given."""
    if isinstance(value, Mapping):
        return [(f"{argument}[{name!r}]", entry) for name, entry in value.items()]
    return [(argument, value)]


def ragged_to_dense(
    ragged: tf.RaggedTensor,
    *,
    lengths: Sequence[Length],
    pad_value: tf.Tensor,
    side: Side = "right",
    name: str = "rows",
) -> tuple[tf.Tensor, ...]:
    """Return `ragged` [B, (T), ...] as dense [B, L, ...] and a mask [B, L, ...] for each ragged level.

    >>> ragged = tf.ragged.constant([[[1, 2], [3]], []])
    >>> dense, mask, mask_2 = md.data.dense.ragged_to_dense(ragged, lengths=[None, None], pad_value=0)
    >>> dense.numpy().tolist(), mask.numpy().astype(int).tolist()
    ([[[1, 2], [3, 0]], [[0, 0], [0, 0]]], [[1, 1], [0, 0]])
    >>> mask_2.numpy().astype(int).tolist()
    [[[1, 1], [1, 0]], [[0, 0], [0, 0]]]
    """
    outer, *inner = lengths
    steps, inner_masks = ragged.values, []
    if inner:
        steps, *inner_masks = ragged_to_dense(
            steps, lengths=inner, pad_value=pad_value, side=side, name=name
        )
    dense, mask = pad_rows(ragged.with_values(steps), outer, pad_value, side, name)
    return (
        dense,
        mask,
        *(
            pad_rows(ragged.with_values(inner_mask), outer, tf.zeros([], tf.bool), side, name)[0]
            for inner_mask in inner_masks
        ),
    )
