"""Tokens and how often each occurs -> their totals, exact, in bounded memory.

Totals are kept in a table. A table that has grown too large is written to partitions on disk, chosen by
a hash of the token: all counts of a token meet in one partition, so that each can be summed up alone.
A partition that is itself too large is partitioned again, by another hash.
"""

import pickle
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Self

import tensorflow as tf

NUM_PARTITIONS = 64

Counts = tuple[Any, Any]
"""Distinct tokens [N] string, and how often each occurs [N] int64; tensors or arrays."""


def new_table() -> tf.lookup.experimental.MutableHashTable:
    """Return a table of counts. One that is not anonymous would stay in memory for ever."""
    return tf.lookup.experimental.MutableHashTable(
        tf.string, tf.int64, default_value=0, experimental_is_anonymous=True
    )


class Partitions:
    """Counts on disk, written by any number of threads; the files vanish at the end of a `with` block."""

    def __init__(self, depth: int = 0) -> None:
        self._depth = depth
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._paths: list[Path] = []
        self._files: list[BinaryIO] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __bool__(self) -> bool:
        """Whether anything was written."""
        return bool(self._paths)

    def write(self, counts: Counts) -> None:
        """Write each count to the partition of its token."""
        hashes = tf.strings.to_hash_bucket_strong(counts[0], NUM_PARTITIONS, key=[self._depth, 1])
        partition = tf.cast(hashes, tf.int32)
        parts = [tf.dynamic_partition(tensor, partition, NUM_PARTITIONS) for tensor in counts]
        with self._lock:
            if not self._paths:
                self._open()
            for file, *part in zip(self._files, *parts, strict=True):
                pickle.dump([tf.io.serialize_tensor(tensor).numpy() for tensor in part], file)

    def _open(self) -> None:
        name = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="maskdata-tokens-"))
        self._paths = [Path(name, str(number)) for number in range(NUM_PARTITIONS)]
        self._files = [self._stack.enter_context(path.open("wb")) for path in self._paths]

    def totals(self, limit: int) -> Iterator[Counts]:
        """Yield the totals of what was written, each token once, with `limit` tokens in memory."""
        for file in self._files:
            file.close()
        for path in self._paths:
            with Partitions(self._depth + 1) as deeper:
                table = TokenCounts(limit, deeper)
                for tokens, counts in _read(path):
                    table.add(
                        (
                            tf.io.parse_tensor(tokens, tf.string),
                            tf.io.parse_tensor(counts, tf.int64),
                        )
                    )
                path.unlink()
                yield from totals([table], deeper)


def _read(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb") as file:
        while file.peek(1):
            yield pickle.load(file)


class TokenCounts:
    """The totals of the tokens of one thread: in memory up to `limit` tokens, then in `overflow`."""

    def __init__(self, limit: int, overflow: Partitions) -> None:
        self.limit = limit
        self._overflow = overflow
        self._empty()

    def _empty(self) -> None:
        self._table = new_table()

    def add(self, counts: Counts) -> None:
        """Add the counts of distinct tokens."""
        tokens, numbers = counts
        self._table.insert(tokens, self._table.lookup(tokens) + numbers)
        if int(self._table.size()) > self.limit:
            self.flush()

    def flush(self) -> None:
        """Write all totals to the overflow, and forget them."""
        self._overflow.write(self._table.export())
        self._empty()

    def export(self) -> Counts:
        """Return the totals that are in memory."""
        return self._table.export()  # type: ignore[no-any-return]


def totals(tables: Sequence[TokenCounts], overflow: Partitions) -> Iterator[Counts]:
    """Yield the totals of what several tables and their overflow hold, each token once.

    >>> with Partitions() as overflow:
    ...     table = TokenCounts(1, overflow)
    ...     for token in ("to", "be", "or", "to"):
    ...         table.add((tf.constant([token]), tf.constant([1], tf.int64)))
    ...     sorted((t, int(n)) for counts in totals([table], overflow) for t, n in zip(*(c.numpy() for c in counts)))
    [(b'be', 1), (b'or', 1), (b'to', 2)]
    """
    limit = sum(table.limit for table in tables)
    if overflow:
        for table in tables:
            table.flush()
        yield from overflow.totals(limit)
    else:
        first, *others = tables
        first.limit = limit
        for other in others:
            first.add(other.export())
        yield first.export()
