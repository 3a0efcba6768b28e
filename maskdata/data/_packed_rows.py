"""Row lengths -> how many packed rows they would fill, and whether that pays."""

from dataclasses import dataclass
from typing import Self, final

import numpy as np
import tensorflow as tf

from maskdata.data._best_fit import best_fit
from maskdata.data._row_lengths import Ints

SAMPLE_SIZE = 4096
"""How many rows are placed for the estimate: as many as `Pack` looks at together."""

PAYS = 0.95
"""Up to which share of the slots packing pays: the estimate is not much sharper."""


@final
@dataclass(frozen=True)
class PackedRows:
    """What `Pack` would make of some rows by best fit, about: packed rows as long as the longest.

    Attributes:
        lengths: The length L of packed rows in each feature, in steps.
        rows: How many packed rows.
        steps: How many real steps they have, of all features together.
    """

    lengths: tuple[int, ...]
    rows: float
    steps: int

    @classmethod
    def estimate(cls, sample: Ints, lengths: tuple[int, ...], *, num_rows: int, steps: int) -> Self:
        """Place a sample of the rows [F, S], and take the others to be like it.

        >>> sample = np.array([[2, 2, 3, 1]])
        >>> PackedRows.estimate(sample, lengths=(4,), num_rows=4000, steps=8000)
        PackedRows(lengths=(4,), rows=2000.0, steps=8000)
        """
        mixed = np.random.default_rng(0).permutation(sample.T)
        with tf.device("CPU:0"):
            packed_row = best_fit(
                tf.constant(np.maximum(mixed, 1)),
                tf.constant(lengths, tf.int64),
                batch_size=1,
                max_segments=None,
                seed=0,
                is_end=tf.ones([], tf.bool),
            )
            num_packed_rows = int(tf.reduce_max(packed_row)) + 1
        return cls(lengths, num_packed_rows * num_rows / len(mixed), steps)

    @property
    def padding(self) -> float:
        """The share of the slots that is padding."""
        return 1 - self.steps / (self.rows * sum(self.lengths))

    def compare(self, slots: float, pairs: float) -> str:
        """Compare with batches of `slots`, and of the `pairs` of steps that attention looks at.

        >>> print(PackedRows((4,), rows=50, steps=190).compare(slots=300, pairs=400))
        packed to 4 steps: about 5.0% padding, one shape;
        0.67 times the slots, 2.00 times the attention: it pays, unless attention costs most
        """
        less = self.rows * sum(self.lengths) / slots
        attention = self.rows * sum(length**2 for length in self.lengths) / pairs
        verdict = "it pays" if attention <= 1 else "it pays, unless attention costs most"
        steps = " and ".join(f"{length:,}" for length in self.lengths)
        return (
            f"packed to {steps} steps: about {self.padding:.1%} padding, one shape;\n"
            f"{less:.2f} times the slots, {attention:.2f} times the attention: "
            f"{verdict if less <= PAYS else 'it does not pay'}"
        )


def sample_lengths(lengths: Ints, counts: Ints) -> Ints:
    """Return the row lengths [F, S] of some rows, spread evenly over all of them as they are sorted.

    Args:
        lengths: The different lengths [F, M] that rows have, sorted.
        counts: How many rows have them, [M].

    >>> sample_lengths(np.array([[1, 5, 7]]), np.array([8192, 4096, 4096])).shape
    (1, 4096)
    >>> sample_lengths(np.array([[1, 5, 7]]), np.array([1, 2, 1])).tolist()
    [[1, 5, 5, 7]]
    """
    ends = np.cumsum(counts)
    size = min(SAMPLE_SIZE, ends[-1])
    ranks = (np.arange(size) + 0.5) * ends[-1] / size
    found: Ints = lengths[:, np.searchsorted(ends, ranks, side="right")]
    return found
