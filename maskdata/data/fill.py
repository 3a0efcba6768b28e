"""Dense batches -> dense batches whose rows divide by the replicas."""

from dataclasses import dataclass
from typing import final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks, num_rows
from maskdata.data._names import ROW_MASK, SEGMENT_MASK, mask_name, row_mask_name
from maskdata.data._types import Element


@final
@dataclass(frozen=True)
class FillRows:
    """Add filler rows, which count nowhere, until the rows divide by the replicas.

    Stage: dense batches + masks -> **the same, B a multiple**.

    A filler row is a copy of the first row, so that its ids and labels are legal, with masks that
    have exactly one True step (cuDNN stops at a row that is wholly masked) and weight 0. Rows of the
    data that have no step in a feature get one True step there too, and weight 0 for it.
    A bool feature `row_mask` tells the rows of the data from the fillers, and `name_row_mask` the
    rows that have steps in feature `name`; `ToKeras` turns both into weights, and `describe`
    counts them. Other features pass through, filled up with copies of their first row.

    Args:
        multiple_of: The number of replicas, or any number by which the rows shall divide.

    Shapes:
        in: dense features [B, ...], masks `name_mask` [B, L] bool
        out: the same with B a multiple of `multiple_of`, L at least 1; `row_mask` and
            `name_row_mask` [B] bool

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for ragged features,
            for packed batches and if `row_mask` exists.

    Example:
        >>> rows = md.from_rows({"tokens": [[5, 6], [], [7]]})
        >>> batch = rows.apply(md.Chain(md.ToDense(), md.FillRows(2))).get_single_element()
        >>> batch["tokens"].numpy().tolist()
        [[5, 6], [0, 0], [7, 0], [5, 6]]
        >>> batch["tokens_mask"].numpy().astype(int).tolist()
        [[1, 1], [1, 0], [1, 0], [1, 0]]
        >>> batch["row_mask"].numpy().tolist(), batch["tokens_row_mask"].numpy().tolist()
        ([True, True, True, False], [True, False, True, False])

    Source: `fit` under MirroredStrategy fails if the rows of the first batch do not divide by the
    replicas (Keras 3.15, keras#19246).
    """

    multiple_of: int

    def __post_init__(self) -> None:
        _check.integer("FillRows", "multiple_of", self.multiple_of)

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset with filler rows."""
        spec = _check.blocks("FillRows", dataset)
        for name, found in spec.items():
            if isinstance(found, tf.RaggedTensorSpec):
                _check.refuse(
                    "FillRows", f"feature {name!r} must be dense", found, "Apply ToDense first."
                )
        if SEGMENT_MASK in spec:
            remedy = "A packed batch always has batch_size rows: make that a multiple."
            _check.refuse("FillRows", "batches must not be packed", sorted(spec), remedy)
        padded = [name for name in spec if mask_name(name) in spec]
        _check.new_features("FillRows", spec, [ROW_MASK, *map(row_mask_name, padded)])

        def fill(element: Element) -> Element:
            return fill_rows(element, padded, self.multiple_of)

        return map_blocks(dataset, fill)


def fill_rows(element: Element, padded: list[str], multiple_of: int) -> Element:
    """Return the rows, then copies of the first one, with masks that are nowhere empty.

    >>> batch = {"n": tf.constant([4, 5, 6])}
    >>> filled = md.data.fill.fill_rows(batch, [], 2)
    >>> filled["n"].numpy().tolist(), filled["row_mask"].numpy().tolist()
    ([4, 5, 6, 4], [True, True, True, False])
    """
    rows = tf.cast(num_rows(element), tf.int32)
    total = rows + -rows % multiple_of
    is_data = tf.range(total) < rows
    source = tf.where(is_data, tf.range(total), 0)
    filled = {name: tf.gather(feature, source) for name, feature in element.items()}
    filled[ROW_MASK] = is_data
    for name in padded:
        masks = [m for level in (1, 2, 3) if (m := mask_name(name, level)) in element]
        deepest = filled[masks[-1]]
        has_steps = is_data & tf.reduce_any(deepest, axis=range(1, deepest.shape.rank))
        steps = filled[masks[0]]
        is_left = tf.reduce_any(steps[:, -1:] & ~steps[:, :1])
        filled[row_mask_name(name)] = has_steps
        filled[name] = _at_least_one_long(filled[name], len(masks))
        for level, mask in enumerate(masks, start=1):
            long_enough = _at_least_one_long(filled[mask], level)
            filled[mask] = _one_step_in_empty_rows(long_enough, has_steps, is_left)
    return filled


def _at_least_one_long(feature: tf.Tensor, num_axes: int) -> tf.Tensor:
    """Return the feature with its step axes, 1 to `num_axes`, at least 1 long."""
    shape = tf.shape(feature)
    missing = [tf.maximum(1 - shape[axis], 0) for axis in range(1, num_axes + 1)]
    rest = feature.shape.rank - 1 - num_axes
    ends = tf.stack([0, *missing, *[0] * rest])
    paddings = tf.stack([tf.zeros_like(ends), ends], axis=1)
    padded = tf.pad(feature, paddings, constant_values=tf.zeros([], feature.dtype))
    static = [
        max(size, 1) if size is not None and 1 <= axis <= num_axes else size
        for axis, size in enumerate(feature.shape)
    ]
    return tf.ensure_shape(padded, static)


def _one_step_in_empty_rows(mask: tf.Tensor, has_steps: tf.Tensor, is_left: tf.Tensor) -> tf.Tensor:
    """Return the mask with one True in each row without steps: the first, or the last if left."""
    one = tf.ones([], tf.bool)
    for axis in range(1, mask.shape.rank):
        length = tf.shape(mask)[axis]
        at = tf.range(length) == tf.where(is_left, length - 1, 0)
        one = one & tf.reshape(at, [-1 if a == axis else 1 for a in range(mask.shape.rank)])
    rows = tf.reshape(has_steps, [-1] + [1] * (mask.shape.rank - 1))
    return tf.where(rows, mask, one)
