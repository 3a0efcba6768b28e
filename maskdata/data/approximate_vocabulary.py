"""Blocks of tokens -> a vocabulary of about the most frequent ones, in a fixed amount of memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import tensorflow as tf

from maskdata._progress import progress
from maskdata.data._approximate_counts import ApproximateCounts
from maskdata.data._count_datasets import count_blocks
from maskdata.data._most_frequent import most_frequent
from maskdata.data.vocabulary import (
    MAX_TOKENS_IN_MEMORY,
    Vocabulary,
    check_build,
    decode_tokens,
)


@final
@dataclass(frozen=True)
class ApproximateVocabulary:
    """Find about the most frequent tokens of data whose counts fit neither in memory nor on disk.

    Stage: tokens -> **a vocabulary**, and how far it may be off.

    `Vocabulary.build` is exact, and needs disk space for all distinct tokens. `build` of this class
    keeps `max_tokens_in_memory` of them and forgets the rarest whenever there are more: counts become too
    low, each by at most `max_undercount`, which is never more than `2 / max_tokens_in_memory` of all tokens.
    If it is 0, nothing was forgotten and the vocabulary is exact. Unlike an exact one, the
    vocabulary depends on the order of the data and on its blocks.

    Args:
        vocabulary: The tokens that seem the most frequent, with `save` and all else.
        num_tokens: How many tokens were counted, repeats included.
        max_undercount: By how much a count may be too low, at most.
        num_uncertain: How many tokens of the vocabulary may not belong in it: some that were left
            out may be as frequent. All others are in the exact vocabulary too.

    Shapes:
        in: tokens of any shape
        out: a `Vocabulary` of at most `max_size` ids

    Raises:
        TypeError, ValueError: By `build`, for a bad argument, a feature that is missing or does
            not hold strings, or if no token occurs `min_count` times.

    Example:
        >>> texts = [["to", "be", "to", "be"], ["or", "not", "to", "be"], ["that", "is"]]
        >>> rows = md.from_rows({"tokens": texts}, block_size=1)
        >>> found = md.ApproximateVocabulary.build(rows, "tokens", max_size=4, max_tokens_in_memory=4)
        >>> found.vocabulary.tokens, found.max_undercount, found.num_uncertain
        (('be', 'to'), 1, 0)

    Source: Misra and Gries, "Finding repeated elements" (1982).
    """

    vocabulary: Vocabulary
    num_tokens: int
    max_undercount: int
    num_uncertain: int

    @classmethod
    def build(
        cls,
        dataset: tf.data.Dataset | Sequence[tf.data.Dataset],
        feature: str,
        *,
        max_size: int,
        min_count: int = 1,
        max_tokens_in_memory: int = MAX_TOKENS_IN_MEMORY,
    ) -> "ApproximateVocabulary":
        """Count about, in one pass, one dataset after the other.

        Args:
            dataset: Blocks with the feature; or several such datasets.
            feature: The feature that holds tokens: strings of any shape, ragged or dense.
            max_size: The most ids to have, the two reserved ones included.
            min_count: How often a token must have been counted to be kept; it occurs as often or
                more. A token that is left out for this occurs less than `min_count +
                max_undercount` times.
            max_tokens_in_memory: Distinct tokens whose counts are kept; far more than `max_size`.
        """
        who = "ApproximateVocabulary.build"
        datasets = check_build(who, dataset, feature, max_size, min_count, max_tokens_in_memory)
        counted = ApproximateCounts(max_tokens_in_memory)
        for one in datasets:
            for counts in progress(count_blocks(one, feature), "Counting tokens, in blocks"):
                counted.add(counts)
        size = max_size - Vocabulary.num_reserved
        tokens, numbers = most_frequent([counted.export()], size + 1, min_count=1)
        is_kept = (np.arange(len(tokens)) < size) & (numbers >= min_count)
        most_left_out = max(numbers[~is_kept], default=0) + counted.max_undercount
        uncertain = is_kept & (numbers <= most_left_out) & (counted.max_undercount > 0)
        return cls(
            Vocabulary(decode_tokens(who, tokens[is_kept])),
            num_tokens=counted.num_tokens,
            max_undercount=counted.max_undercount,
            num_uncertain=int(uncertain.sum()),
        )
