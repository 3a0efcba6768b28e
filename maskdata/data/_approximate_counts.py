"""Tokens and how often each occurs -> their totals, a little too low, in a table that never overflows."""

from typing import Any

import numpy as np
import tensorflow as tf

from maskdata.data._token_counts import Counts, new_table


class ApproximateCounts:
    """Totals of at most `limit` tokens.

    When the table is full, what the token in its middle has is subtracted from all of them, and those
    that have nothing left are dropped (Misra and Gries 1982; for whole blocks, Agarwal et al.,
    "Mergeable summaries", 2012). Each time that takes at least as much from half of the
    tokens, so that no total can be too low by more than `2 / limit` of all tokens.

    Attributes:
        max_undercount: By how much any total can be too low; that of a dropped token is 0.
        num_tokens: How many tokens were counted, repeats included.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.max_undercount = 0
        self.num_tokens = 0
        self._fill(tf.constant([], tf.string), tf.constant([], tf.int64))

    def _fill(self, tokens: Any, counts: Any) -> None:
        self._table = new_table()
        self._table.insert(tokens, counts)

    def add(self, counts: Counts) -> None:
        """Add the counts of distinct tokens."""
        tokens, numbers = counts
        self.num_tokens += int(tf.reduce_sum(numbers))
        self._table.insert(tokens, self._table.lookup(tokens) + numbers)
        if int(self._table.size()) > self.limit:
            self._subtract_middle()

    def _subtract_middle(self) -> None:
        tokens, counts = self._table.export()
        middle = -(self.limit // 2 + 1)
        taken = int(np.partition(counts.numpy(), middle)[middle])
        self.max_undercount += taken
        is_left = counts > taken
        self._fill(tf.boolean_mask(tokens, is_left), tf.boolean_mask(counts, is_left) - taken)

    def export(self) -> Counts:
        """Return all tokens that are left, and their totals."""
        return self._table.export()  # type: ignore[no-any-return]
