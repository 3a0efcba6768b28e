"""Rows in memory -> ragged batches, every epoch planned."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks
from maskdata.data._buckets import BucketPlan
from maskdata.data._budget import Cost
from maskdata.data._columns import Columns, bytes_per_row, gather_all, num_rows, row_lengths
from maskdata.data._epoch_order import EpochOrder
from maskdata.data._passes import pass_number
from maskdata.data._plan_state import State, check_state, identify, make_state
from maskdata.data._read_columns import read_columns
from maskdata.data._types import Element
from maskdata.data._windows import set_num_rows, split_windows
from maskdata.data.bucket_plan import plan_buckets

WHO = "BatchPlan"
MAX_EPOCH = 2**31 - 1
BYTES_AT_ONCE = 2**20
"""Small batches are gathered several at once, up to about this size: a call costs 100 µs."""


@final
class BatchPlan:
    """Decide which rows stand together, in every batch of every epoch.

    Stage: rows in memory -> **ragged batches**.

    For data that fit into memory, or that Arrow maps from a file. In each epoch all rows are shuffled
    evenly; rows of like length go together, with the least padding (`plan_buckets`); long and
    short batches are spread evenly over the epoch. Each row comes once, its features together.
    A batch is gathered when it is read; the data stay where they are.

    `dataset()` is for `fit`: one epoch whenever it is read, another each time, its number of batches
    known. `stream()` is endless, one epoch after the other, and starts at any batch of any epoch without
    reading those before it. `state()` says where training is, in a dict to save as JSON, and
    `resume()` is the stream that goes on from there.

    Args:
        rows: A dataset of blocks, which is read into memory once; or a mapping of names to
            tensors, ragged tensors, arrays or Arrow arrays. Arrow lists of numbers stay where Arrow
            has them: if that is one memory-mapped file, a batch reads only its own rows.
        features: The ragged features that are padded, or one of them, as in `plan_buckets`.
        num_buckets: How many padded lengths there are, as in `plan_buckets`.
        seed: The seed; the same rows, settings and seed give the same batches in every process.
        max_tokens: The most that a padded batch may cost, in steps, as in `plan_buckets`.
        batch_size: The rows of every batch, in place of `max_tokens`.
        multiple_of: Full batches have a multiple of this many rows, as in `plan_buckets`.
        length_multiple_of: Padded lengths are multiples of this, as in `plan_buckets`.
        cost: What a row costs, as in `plan_buckets`.
        drop_remainder: Whether to leave out the batches that are not full, at most one for each
            bucket. `rows_left_out` counts their rows: others in each epoch, but for a bucket
            that has no full batch at all.

    Shapes:
        in: N rows for each feature; `features` [N, (T), ...] ragged
        out: the same features [B, ...]; B is one of `buckets.bucket_batch_sizes`, or less

    Raises:
        TypeError, ValueError: When built, for a bad argument, for no rows, single rows or features
            of different numbers of rows, for a feature that is missing or not ragged, and for what
            `plan_buckets` refuses; when resumed, for the state of other data or settings.
        tf.errors.InvalidArgumentError: When read, if a dataset is read more than 16,384 times.

    Example:
        >>> rows = md.from_rows({"tokens": [[1, 2, 3], [4], [5], [6, 7, 8, 9], [10]]})
        >>> plan = md.BatchPlan(rows, "tokens", num_buckets=2, batch_size=2, seed=0)
        >>> plan.num_batches, plan.buckets.lengths
        (3, {'tokens': [1, 4]})
        >>> batches = plan.dataset()
        >>> for epoch in range(2):
        ...     print([batch["tokens"].to_list() for batch in batches])
        [[[4], [5]], [[10]], [[6, 7, 8, 9], [1, 2, 3]]]
        [[[10]], [[6, 7, 8, 9], [1, 2, 3]], [[4], [5]]]
        >>> state = plan.state(epoch=1, step=2)
        >>> [batch["tokens"].to_list() for batch in plan.resume(state).take(1)]
        [[[4], [5]]]

    Source: `grain` saves a position as small as this; it has no buckets of like lengths.
    """

    def __init__(
        self,
        rows: tf.data.Dataset | Mapping[str, Any],
        features: str | Sequence[str],
        *,
        num_buckets: int,
        seed: int,
        max_tokens: float | None = None,
        batch_size: int | None = None,
        multiple_of: int = 1,
        length_multiple_of: int = 1,
        cost: Cost | None = None,
        drop_remainder: bool = False,
    ) -> None:
        names = [features] if isinstance(features, str) else features
        _check.names(WHO, "features", names)
        _at_most(WHO, "seed", seed, 2**63 - 1)
        _check.boolean(WHO, "drop_remainder", drop_remainder)
        with tf.device("CPU:0"):
            self._columns: Columns = read_columns(WHO, rows, names)
        lengths = {name: row_lengths(self._columns[name]) for name in names}
        self._buckets = plan_buckets(
            lengths,
            num_buckets,
            max_tokens=max_tokens,
            batch_size=batch_size,
            multiple_of=multiple_of,
            length_multiple_of=length_multiple_of,
            cost=cost,
        )
        assert self._buckets.feature is not None
        boundaries, sizes = self._buckets.bucket_boundaries, self._buckets.bucket_batch_sizes
        bucket_of_row = np.searchsorted(boundaries, lengths[self._buckets.feature], side="right")
        self._seed = seed
        self._order = EpochOrder(bucket_of_row, sizes, seed=seed, drop_remainder=drop_remainder)
        self._same_size = sizes[0] if drop_remainder and len(set(sizes)) == 1 else None
        if self.num_batches == 0:
            remedy = "Let drop_remainder be False, or lower the batch size."
            _check.refuse(WHO, "some bucket must have a full batch", self._buckets, remedy)

    @property
    def buckets(self) -> BucketPlan:
        """The padded lengths and batch sizes: `ToDense(lengths=plan.buckets.lengths)`."""
        return self._buckets

    @property
    def num_rows(self) -> int:
        """The rows of the data."""
        return num_rows(next(iter(self._columns.values())))

    @property
    def num_batches(self) -> int:
        """The batches of an epoch, the same number in each: the steps of `fit`."""
        return self._order.num_batches

    @property
    def rows_left_out(self) -> int:
        """The rows that are in no batch of an epoch: 0 without `drop_remainder`."""
        return self._order.rows_left_out

    def __repr__(self) -> str:
        by = ", ".join(map(repr, self._buckets.features))
        return (
            f"BatchPlan({self.num_rows:,} rows in {self.num_batches:,} batches of "
            f"{self._buckets.num_shapes} lengths by {by}, seed={self._seed})"
        )

    def row_numbers(self, epoch: int) -> tf.RaggedTensor:
        """Return the numbers of the rows of each batch of an epoch, [`num_batches`, (B)]."""
        self._check_position("BatchPlan.row_numbers", epoch, 0)
        with tf.device("CPU:0"):
            rows, starts, limits = self._order(tf.constant(epoch, tf.int64))
            places = tf.ragged.range(starts, limits)
            return places.with_values(tf.gather(rows, places.values))

    def dataset(self, epoch: int = 0) -> tf.data.Dataset:
        """Return the batches of one epoch: of `epoch` when first read, then of the next, and so on.

        Its cardinality is `num_batches`. Whoever takes one batch to look at it has begun an epoch.
        """
        self._check_position("BatchPlan.dataset", epoch, 0)
        batches = self._batches(pass_number(WHO), lambda number: (epoch + number, 0))
        return batches.apply(tf.data.experimental.assert_cardinality(self.num_batches))

    def stream(self, epoch: int = 0, step: int = 0) -> tf.data.Dataset:
        """Return the batches from this one on, in this epoch and all later ones, without end.

        Each time it is read, it starts there again. For `fit`, pass `steps_per_epoch=plan.num_batches`;
        the rest of the epoch alone is `.take(plan.num_batches - step)`.
        """
        self._check_position("BatchPlan.stream", epoch, step)
        batches = self._batches(
            tf.data.Dataset.range(epoch, 2**62),
            lambda number: (number, tf.where(number == epoch, tf.constant(step, tf.int64), 0)),
        )
        return batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    def state(self, epoch: int, step: int) -> State:
        """Return what to save after `step` batches of `epoch`: a small dict for JSON.

        After `n` batches in all, these are `divmod(n, plan.num_batches)`. The first call
        reads all rows once, to tell them from others by a hash.
        """
        self._check_position("BatchPlan.state", epoch, step)
        return make_state(epoch, step, self._identity)

    def resume(self, state: Mapping[str, Any]) -> tf.data.Dataset:
        """Return the stream that goes on where `state` was saved, in this process or another.

        A plan of other rows, with the ids of another vocabulary or with other settings is refused.
        """
        check_state("BatchPlan.resume", state, self._identity)
        self._check_position("BatchPlan.resume", state["epoch"], state["step"])
        return self.stream(state["epoch"], state["step"])

    @functools.cached_property
    def _identity(self) -> dict[str, str]:
        return identify(self._columns, self._seed, self.row_numbers(epoch=0))

    def _check_position(self, who: str, epoch: int, step: int) -> None:
        _at_most(who, "epoch", epoch, MAX_EPOCH)
        _at_most(who, "step", step, self.num_batches)

    def _batches(
        self, numbers: tf.data.Dataset, position: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
    ) -> tf.data.Dataset:
        """Return the batches of an epoch for each number, from its `position`: epoch and step."""
        mean_size = bytes_per_row(self._columns) * self.num_rows / self.num_batches
        at_once = max(1, int(BYTES_AT_ONCE / (1 + mean_size)))
        # A dataset, because whatever else a function of tf.data holds is copied for each iterator.
        columns = tf.data.Dataset.from_tensors(self._columns).repeat()

        def read_epoch(number: tf.Tensor) -> tf.data.Dataset:
            epoch, step = position(number)
            rows, starts, limits = self._order(epoch)

            def read_one(place: tf.Tensor, columns: Columns) -> Element:
                batch = gather_all(columns, rows[starts[place] : limits[place]])
                return set_num_rows(batch, self._same_size)  # type: ignore[no-any-return]

            def read_several(place: tf.Tensor, columns: Columns) -> tuple[Element, tf.Tensor]:
                places = tf.ragged.range(*(x[place : place + at_once] for x in (starts, limits)))
                batches = gather_all(columns, tf.gather(rows, places.values))
                return batches, places.row_lengths()

            places = tf.data.Dataset.range(step, self.num_batches, at_once)
            read = read_one if at_once == 1 else read_several
            return map_blocks(tf.data.Dataset.zip((places, columns)), read)

        read = numbers.flat_map(tf.autograph.experimental.do_not_convert(read_epoch))
        return read if at_once == 1 else split_windows(read, num_rows=self._same_size)


def _at_most(who: str, name: str, value: Any, maximum: int) -> None:
    _check.integer(who, name, value, minimum=0)
    if value > maximum:
        _check.refuse(who, f"{name} must be at most {maximum}", value, "Pass a smaller number.")
