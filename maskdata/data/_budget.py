"""Padded lengths -> what a row of them costs, and how many such rows a batch may have."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, final

import numpy as np
import numpy.typing as npt

from maskdata.data import _check

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Cost = Callable[..., Any]
"""Padded lengths, an int array for each feature -> the cost of a row of each, an array of this shape."""


def sum_of_lengths(*lengths: Ints) -> Ints:
    """Cost one for each step: the default."""
    total: Ints = np.sum(lengths, axis=0, dtype=np.int64)
    return total


@final
@dataclass(frozen=True)
class Budget:
    """What a row costs, and how many rows a batch has: a fixed number, or what `max_tokens` allow.

    >>> budget = Budget("plan", max_tokens=100, multiple_of=2)
    >>> budget.batch_sizes(np.array([8.0, 30.0, 60.0])).tolist()
    [12, 2, 0]
    """

    who: str
    max_tokens: float | None = None
    batch_size: int | None = None
    multiple_of: int = 1
    cost: Cost = sum_of_lengths

    def __post_init__(self) -> None:
        who = self.who
        _check.integer(who, "multiple_of", self.multiple_of)
        if not callable(self.cost):
            remedy = "For example cost=lambda n: n + n**2 / 512."
            _check.refuse(who, "cost must be a function of lengths", self.cost, remedy, TypeError)
        if (self.max_tokens is None) == (self.batch_size is None):
            _check.refuse(
                who,
                "one of max_tokens and batch_size must be given",
                {"max_tokens": self.max_tokens, "batch_size": self.batch_size},
                "Pass the most that a batch may cost, or its rows.",
            )
        if self.batch_size is not None:
            _check.integer(who, "batch_size", self.batch_size)
            if self.batch_size % self.multiple_of:
                must = f"batch_size must be a multiple of multiple_of={self.multiple_of}"
                _check.refuse(who, must, self.batch_size, "Each replica gets as many rows.")
        elif not isinstance(self.max_tokens, Real) or isinstance(self.max_tokens, bool):
            must = "max_tokens must be a number"
            _check.refuse(who, must, self.max_tokens, "Pass what a batch may cost.", TypeError)
        elif not 0 < self.max_tokens < 2**53:
            must = "max_tokens must be positive and below 2**53"
            _check.refuse(who, must, self.max_tokens, "Pass what a batch may cost.")

    def costs(self, lengths: Ints) -> Floats:
        """Return what rows of these padded lengths [F, N] cost, [N]."""
        lengths = lengths.view()
        lengths.flags.writeable = False  # a cost that changes them would change the plan
        costs = np.asarray(self.cost(*lengths))
        if costs.shape != lengths.shape[1:] or costs.dtype.kind not in "iuf":
            _check.refuse(
                self.who,
                f"cost must return one number for each of {lengths.shape[1]} lengths",
                costs,
                "It is called with an array of lengths for each feature: compute with NumPy.",
                TypeError,
            )
        costs = costs.astype(np.float64)
        wrong = ~(np.isfinite(costs) & (costs > 0))
        if wrong.any():
            at = int(wrong.argmax())
            _check.refuse(
                self.who,
                f"the cost of a row of {_steps(lengths[:, at])} must be positive and finite",
                float(costs[at]),
                "Every padded row costs something.",
            )
        return costs

    def batch_sizes(self, costs: Floats) -> Ints:
        """Return how many rows of these costs a batch has; 0 where the budget does not allow any."""
        if self.batch_size is not None:
            return np.full(costs.shape, self.batch_size)
        assert self.max_tokens is not None
        return (
            np.floor(self.max_tokens / costs).astype(np.int64)
            // self.multiple_of
            * self.multiple_of
        )

    def check_rows(self, lengths: Ints, padded: Ints) -> None:
        """Refuse rows [F, N] that do not fit into the budget, padded as little as can be."""
        costs = self.costs(padded)
        if self.batch_sizes(costs).all():
            return
        row = int(costs.argmax())
        needed = float(costs[row]) * self.multiple_of
        of_rows = f"{self.multiple_of} rows like " if self.multiple_of > 1 else ""
        fewer = ", or lower multiple_of" if self.multiple_of > 1 else ""
        _check.refuse(
            self.who,
            f"max_tokens must be at least {_plain(needed)}, the cost of {of_rows}row {row} "
            f"({_steps(lengths[:, row])})",
            self.max_tokens,
            f"Raise it{fewer}; or cut the row with Truncate, split it with SplitLong or leave it "
            "out with DropLong: each counts what it takes away.",
        )


def _plain(number: float) -> float | int:
    return int(number) if number.is_integer() else number


def _steps(lengths: Ints) -> str:
    return " and ".join(map(str, lengths.tolist())) + " steps"
