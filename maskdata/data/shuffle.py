"""Blocks of rows -> blocks of the same rows, mixed."""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import (
    any_number_of_rows,
    carry_rows,
    largest,
    map_blocks,
    num_rows,
    take_rows,
)
from maskdata.data._epoch_order import PHILOX
from maskdata.data._passes import numbers_of_this_pass
from maskdata.data._references import unpack_rows
from maskdata.data._types import Element


@final
@dataclass(frozen=True)
class Shuffle:
    """Mix rows across blocks.

    Stage: blocks -> **blocks of the same rows, in another order**.

    Mixes as `tf.data.Dataset.shuffle` with a buffer of `buffer_size` rows does, without a call a
    row. Each row gets a random time to leave, drawn as the buffer of tf.data would: a row stays
    for `buffer_size` rows on average, and a dataset of no more rows than that is shuffled evenly.
    The time is a function of seed, epoch and the row's number alone, so that the order does not depend
    on the blocks or on the global seed. Rows that wait are carried in memory: heavy ones (64 bytes a
    step and more) by reference, others copied once a block: use blocks of at least a tenth of `buffer_size`.

    Args:
        buffer_size: Rows that wait, on average. With 1, nothing is mixed.
        seed: The seed; same seed, same order, in every process.
        reshuffle_each_iteration: Whether each pass over the dataset has another order. The
            orders of the first, second, ... pass are the same in every process.
        epoch: The epoch whose order every pass has, for a dataset made anew for each epoch; passes
            are not counted then. tf.data may forget a count when it saves an iterator.

    Shapes:
        in: every feature [N, ...]
        out: the same features; blocks of other sizes, none empty

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for elements that are
            not batches of rows.

    Example:
        >>> rows = md.from_rows({"n": np.arange(6)}, block_size=2)
        >>> mixed = rows.apply(md.Shuffle(buffer_size=6, seed=1, reshuffle_each_iteration=False))
        >>> sorted(n for block in mixed for n in block["n"].numpy().tolist())
        [0, 1, 2, 3, 4, 5]
    """

    buffer_size: int
    seed: int
    reshuffle_each_iteration: bool = True
    epoch: int | None = None

    def __post_init__(self) -> None:
        _check.integer("Shuffle", "buffer_size", self.buffer_size)
        _check.integer("Shuffle", "seed", self.seed, minimum=0)
        _check.boolean("Shuffle", "reshuffle_each_iteration", self.reshuffle_each_iteration)
        if self.epoch is not None:
            _check.integer("Shuffle", "epoch", self.epoch, minimum=0)

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset with its rows mixed."""
        spec = any_number_of_rows(_check.movable_rows("Shuffle", dataset))
        timed = tf.data.Dataset.zip((dataset, self._epoch_seeds())).scan(
            (tf.constant(0, tf.int64), tf.constant(-1, tf.int64)),
            tf.autograph.experimental.do_not_convert(self._time_rows),
        )
        mixed = carry_rows(timed, self._release_rows, who="Shuffle").filter(
            tf.autograph.experimental.do_not_convert(lambda rows: num_rows(rows) > 0)
        )
        return map_blocks(mixed, lambda rows: unpack_rows(rows, spec))

    def _epoch_seeds(self) -> tf.data.Dataset:
        """Return an endless source whose first element is the seed of this pass over the data."""
        if self.epoch is not None or not self.reshuffle_each_iteration:
            seed = self.seed if self.epoch is None else _seed_of_epoch(self.seed, self.epoch)
            return tf.data.Dataset.from_tensors(tf.constant(seed, tf.int64)).repeat()
        return numbers_of_this_pass(self.seed, 1)

    def _time_rows(self, state: tuple[tf.Tensor, tf.Tensor], block_and_seed: Any) -> Any:
        """Give each row of a block its number and its time to leave."""
        count, epoch_seed = state
        block, seed = block_and_seed
        epoch_seed = tf.where(epoch_seed < 0, seed, epoch_seed)
        numbers = count + tf.range(num_rows(block))
        timed = {
            "rows": block,
            "number": numbers,
            "leaves_at": leaving_times(numbers, self.buffer_size, epoch_seed),
        }
        return (count + num_rows(block), epoch_seed), timed

    def _release_rows(self, rows: Element, is_end: tf.Tensor) -> tuple[Element, tf.Tensor]:
        """Emit the rows that leave before any row that is yet to come, in the order of their times."""
        numbers, leaves_at = rows["number"], rows["leaves_at"]
        next_number = largest(numbers, or_else=-1) + 1
        next_arrival = tf.cast(next_number - self.buffer_size, tf.float64)
        is_due = is_end | (leaves_at < next_arrival)
        due = tf.where(is_due)[:, 0]
        order = tf.gather(due, tf.argsort(tf.gather(leaves_at, due), stable=True))
        return take_rows(rows["rows"], order), tf.where(~is_due)[:, 0]


def _seed_of_epoch(seed: int, epoch: int) -> int:
    """Return a seed that has nothing in common with those of other epochs.

    >>> _seed_of_epoch(3, 0), _seed_of_epoch(3, 1)
    (8410406831272754623, 7786003154877892718)
    """
    digest = hashlib.sha256(f"seed {seed}, epoch {epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def leaving_times(numbers: tf.Tensor, buffer_size: int, seed: tf.Tensor) -> tf.Tensor:
    """Return when each row leaves a shuffle buffer, in rows, float64; `numbers` are consecutive.

    In a buffer of `buffer_size` slots a row is drawn with chance `1 / buffer_size` at each step:
    it waits for an exponential time. The clock starts when the buffer is full.

    >>> md.data.shuffle.leaving_times(tf.range(4, dtype=tf.int64), 1, tf.constant(5, tf.int64)).numpy().tolist()
    [0.0, 0.0, 1.0, 2.0]
    """
    arrivals = tf.cast(tf.maximum(numbers - buffer_size, 0), tf.float64)
    if buffer_size == 1:
        return arrivals
    mean_wait = -1.0 / math.log1p(-1.0 / buffer_size)
    return arrivals - mean_wait * tf.math.log1p(-_uniform(numbers, seed))


def _uniform(numbers: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Return a random float64 in [0, 1) for each of the consecutive `numbers`, a function of it alone.

    Philox counts in groups of two 64-bit words, so that any stretch of the stream can be made on
    its own. (`tf.random.experimental.index_shuffle` is made for this, but the values of neighbours
    are correlated: 0.34 in TensorFlow 2.21.)
    """
    size = tf.size(numbers, tf.int64)
    first = tf.concat([numbers, [0]], axis=0)[0]
    words = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[size + 1],
        key=tf.cast(seed, tf.uint64)[None],
        counter=tf.cast(tf.stack([first // 2, 0]), tf.uint64),
        alg=PHILOX,
        dtype=tf.uint64,
    )[first % 2 :][:size]
    return tf.cast(tf.bitwise.right_shift(words, tf.constant(11, tf.uint64)), tf.float64) * 2.0**-53
