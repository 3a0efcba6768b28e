"""Two runs on the same data in other padding -> which calls gave other values where data are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskdata.audit._recorded import Array, Origin
from maskdata.audit._run import Run
from maskdata.audit._steps import Axes, Steps

Slots = tuple[Any, Any]  # an index into the one tensor, and into the other
SMALL = 1e-3  # differences are relative to the largest value, or to this if all are smaller


@dataclass(frozen=True)
class Followed:
    """A run, the steps of its tensors, and which rows have data."""

    run: Run
    steps: Mapping[Origin, Steps]
    rows: Array


@dataclass(frozen=True)
class Difference:
    """How a tensor differs between two runs.

    Attributes:
        change: The largest difference of two entries that are data, relative to the largest entry.
        slots: Where these entries are in both.
    """

    change: float
    slots: Slots | None


def differences(
    one: Followed, other: Followed, axes: Axes | None, side: str | None
) -> dict[Origin, Difference]:
    """Compare every tensor of two runs, as far as it is known which entries belong together.

    `side` is where padding was taken away, if it was all of it: then the entries at the other
    end belong together, whatever an axis stands for.
    """
    found = {}
    for origin in one.run.values:
        if origin.source == "x" or origin not in other.run.values:
            continue
        a, b = one.run.values[origin].array, other.run.values[origin].array
        known = one.steps.get(origin), other.steps.get(origin)
        slots = _slots(a, b, known, None if axes is None else axes.get(origin), one.rows, side)
        if slots == "differ":
            found[origin] = Difference(np.inf, None)
        elif slots is not None:
            found[origin] = Difference(change(a[slots[0]], b[slots[1]]), slots)
    return found


def differences_at(slots: Mapping[Origin, Slots], one: Run, other: Run) -> dict[Origin, Difference]:
    """Compare the tensors of two runs where these slots say that entries belong together."""
    found = {}
    for origin, (here, there) in slots.items():
        if origin in one.values and origin in other.values:
            a, b = one.values[origin].array, other.values[origin].array
            is_same = a.shape == b.shape
            by = change(a[here], b[there]) if is_same else np.inf
            found[origin] = Difference(by, (here, there) if is_same else None)
    return found


def change(a: Array, b: Array) -> float:
    """Return the largest difference of two arrays, relative to the largest finite entry."""
    if a.shape != b.shape:
        return np.inf
    if a.dtype.kind in "OSU":
        return float(not np.array_equal(a, b))
    a, b = a.astype("float64"), b.astype("float64")
    is_same = (a == b) | (np.isnan(a) & np.isnan(b))
    if is_same.all():
        return 0.0
    with np.errstate(invalid="ignore"):
        largest = np.abs(np.concatenate([a, b], axis=None))
        difference = np.abs(a - b)[~is_same].max()
    largest = largest[np.isfinite(largest)].max(initial=SMALL)
    return float(difference / largest) if np.isfinite(difference) else np.inf


def _slots(
    a: Array,
    b: Array,
    steps: tuple[Steps | None, Steps | None],
    grows: frozenset[int] | None,
    rows: Array,
    side: str | None,
) -> Any:
    if a.ndim != b.ndim:
        return None
    one, other = steps
    if one is not None and other is not None and one.axes and one.axes.keys() == other.axes.keys():
        data = one.entries(a.shape), other.entries(b.shape)
        counts = [entries.sum(axis=tuple(range(1, entries.ndim))) for entries in data]
        return data if np.array_equal(*counts) else "differ"
    has_steps = bool(grows) or any(s is not None for s in steps)
    if not has_steps and a.shape == b.shape:
        return (rows, rows) if a.shape[:1] == rows.shape else (..., ...)
    if side is None:
        return None
    if any(m < n for m, n in zip(a.shape, b.shape, strict=True)):
        return None
    starts = [m - n if side == "left" else 0 for m, n in zip(a.shape, b.shape, strict=True)]
    return tuple(slice(s, s + n) for s, n in zip(starts, b.shape, strict=True)), ...
