"""Single rows, or blocks -> batches of a fixed number of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import Rows, map_blocks, num_rows
from maskdata.data._padding import Lengths, PadValue
from maskdata.data._types import Spec
from maskdata.data._windows import batch_by_bucket, set_num_rows
from maskdata.data.dense import Side, ToDense

Elements = Literal["rows", "blocks"]


@final
@dataclass(frozen=True)
class RaggedBatch:
    """Batch rows in order of arrival, variable lengths kept ragged.

    Stage: single rows or blocks -> **ragged batches**.

    The door into maskdata for any `tf.data.Dataset` of dicts: single rows become batches of
    rows, the variable axes of their features ragged ones. Blocks are cut anew. A big batch
    (thousands of rows) is a block: `RaggedBatch(4096)` makes the later stages fast.

    Args:
        batch_size: Rows in a batch; the last one may have fewer.
        drop_remainder: Whether to drop a last batch that is not full. `describe(batches,
            source=rows)` counts the rows lost.
        elements: Whether the elements of the dataset are single `"rows"` or `"blocks"` of rows.
            By default a scalar feature tells rows, a ragged one blocks; otherwise say it.

    Shapes:
        in: single rows, [...]; or blocks, [N, ...]
        out: the same features [B, ...], B = `batch_size`; an axis of unknown size of a single
            row is ragged: [T, D] becomes [B, (T), D]

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, if it cannot be
            known whether elements are rows or blocks.

    Example:
        >>> single_rows = tf.data.Dataset.range(1, 4).map(lambda n: {"n": n, "ones": tf.ones([n], tf.int32)})
        >>> [batch["ones"].to_list() for batch in single_rows.apply(md.RaggedBatch(2))]
        [[[1], [1, 1]], [[1, 1, 1]]]

    Source: `tf.data.Dataset.ragged_batch` for single rows.
    """

    batch_size: int
    drop_remainder: bool = False
    elements: Elements | None = None

    def __post_init__(self) -> None:
        _check.integer("RaggedBatch", "batch_size", self.batch_size)
        _check.boolean("RaggedBatch", "drop_remainder", self.drop_remainder)
        if self.elements is not None:
            _check.one_of("RaggedBatch", "elements", self.elements, ("rows", "blocks"))

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset batched in order."""
        spec = _check.element("RaggedBatch", dataset)
        if (self.elements or _tell_elements(spec)) == "rows":
            return self._batch_rows(dataset)
        _check.movable_rows("RaggedBatch", dataset)
        return batch_by_bucket(
            dataset,
            _one_bucket,
            [self.batch_size],
            drop_remainder=self.drop_remainder,
            who="RaggedBatch",
        )

    def _batch_rows(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        batches = dataset.ragged_batch(self.batch_size, drop_remainder=self.drop_remainder)
        known = self.batch_size if self.drop_remainder else None
        # Strips what only a ragged batch of scalar rows has: a ragged tensor of ragged rank 0.
        return map_blocks(batches, lambda rows: set_num_rows(rows, known))


def _one_bucket(rows: Rows) -> tf.Tensor:
    return tf.zeros(num_rows(rows)[None], tf.int32)


def _tell_elements(spec: Spec) -> Elements:
    if any(feature.shape.rank == 0 for feature in spec.values()):
        return "rows"
    if any(isinstance(feature, tf.RaggedTensorSpec) for feature in spec.values()):
        return "blocks"
    _check.refuse(
        "RaggedBatch",
        "elements must be known to be single rows or blocks of rows",
        spec,
        "Both have such features: pass elements='rows' or elements='blocks'.",
    )
    raise AssertionError


@final
@dataclass(frozen=True)
class PaddedBatch:
    """Batch rows in order of arrival, dense, with masks.

    Stage: single rows or blocks -> **dense batches + masks**.

    `RaggedBatch`, then `ToDense`: what `tf.data.Dataset.padded_batch` does, with a mask for every
    feature that is padded.

    Args:
        batch_size: Rows in a batch; the last one may have fewer.
        drop_remainder: Whether to drop a last batch that is not full.
        elements: `"rows"` or `"blocks"`, as in `RaggedBatch`.
        features: As in `ToDense`: the features to pad; all ragged ones by default.
        lengths: As in `ToDense`: padded lengths in steps.
        pad_values: As in `ToDense`: what fills the padding.
        side: As in `ToDense`: the side on which padding stands.

    Shapes:
        in: single rows, [...]; or blocks, [N, ...]
        out: as `ToDense`, B = `batch_size`

    Raises:
        TypeError, ValueError: When built or applied, as `RaggedBatch` and `ToDense`.
        tf.errors.InvalidArgumentError: When read, for a row longer than its length.

    Example:
        >>> rows = md.from_rows({"tokens": [[1, 2, 3], [4], [5]]})
        >>> for batch in rows.apply(md.PaddedBatch(2)):
        ...     print(batch["tokens"].numpy().tolist(), batch["tokens_mask"].numpy().astype(int).tolist())
        [[1, 2, 3], [4, 0, 0]] [[1, 1, 1], [1, 0, 0]]
        [[5]] [[1]]

    Source: `tf.data.Dataset.padded_batch`, which gives no mask (tensorflow#12601).
    """

    batch_size: int
    drop_remainder: bool = False
    elements: Elements | None = None
    features: Sequence[str] | None = None
    lengths: Lengths = None
    pad_values: PadValue | Mapping[str, PadValue] = 0
    side: Side = "right"

    def __post_init__(self) -> None:
        self._stages()

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset batched and padded."""
        ragged_batch, to_dense = self._stages()
        return to_dense(ragged_batch(dataset))

    def _stages(self) -> tuple[Any, Any]:
        return (
            RaggedBatch(self.batch_size, self.drop_remainder, self.elements),
            ToDense(self.features, self.lengths, self.pad_values, self.side),
        )
