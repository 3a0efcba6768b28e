"""A batch -> the same data in other padding."""

from dataclasses import replace

import numpy as np

from maskdata.audit._batch import Batch, Feature
from maskdata.audit._recorded import Array


def longer(batch: Batch, extra: int) -> Batch | None:
    """Return the batch with more padded steps; None if the model fixes the number of steps."""
    fixed = _fixed_lengths(batch)
    if set(batch.steps_by_length()) <= fixed:
        return None

    def pad(feature: Feature) -> Feature:
        if feature.steps is None or feature.steps.shape[1] in fixed:
            return feature
        is_left = batch.side(feature.steps.shape[1]) == "left"
        assert feature.steps is not None
        value = False if feature.is_mask else pad_value(feature.array, feature.steps)
        return replace(
            feature,
            array=pad_steps(feature.array, extra, value=value, is_left=is_left),
            steps=pad_steps(feature.steps, extra, value=False, is_left=is_left),
            entries=None
            if feature.entries is None
            else pad_steps(feature.entries, extra, value=False, is_left=is_left),
        )

    return batch.map(pad)


def garbage(batch: Batch, names: set[str], seed: int = 0) -> Batch:
    """Return the batch with other values in the padding of these features."""
    random = np.random.default_rng(seed)

    def fill(feature: Feature) -> Feature:
        if feature.name not in names or feature.entries is None:
            return feature
        return replace(feature, array=other_values(feature.array, feature.entries, random))

    return batch.map(fill)


def has_padding(feature: Feature) -> bool:
    """Tell whether there is padding that could hold other values."""
    return not feature.is_mask and feature.entries is not None and not feature.entries.all()


def row(batch: Batch, number: int) -> Batch:
    """Return a batch of one row, as it is."""
    one = slice(number, number + 1)
    return batch.map(
        lambda feature: replace(
            feature,
            array=feature.array[one],
            steps=None if feature.steps is None else feature.steps[one],
            entries=None if feature.entries is None else feature.entries[one],
        )
    )


def unpadded(batch: Batch) -> Batch:
    """Return a batch of one row without the padding at its side."""
    fixed = _fixed_lengths(batch)
    within = {
        length: slice(length - _extent(steps[0, ::-1]), None)
        if batch.side(length) == "left"
        else slice(_extent(steps[0]))
        for length, steps in batch.steps_by_length().items()
        if length not in fixed
    }

    def trim(feature: Feature) -> Feature:
        if feature.steps is None or feature.steps.shape[1] in fixed:
            return feature
        part = (slice(None), within[feature.steps.shape[1]])
        return replace(
            feature,
            array=feature.array[part],
            steps=feature.steps[part],
            entries=None if feature.entries is None else feature.entries[part],
        )

    return batch.map(trim)


def rows_to_unpad(batch: Batch) -> list[int]:
    """Return the longest and the shortest row of those that have both data and padding."""
    fixed = _fixed_lengths(batch)
    steps = [s for length, s in batch.steps_by_length().items() if length not in fixed]
    if not steps:
        return []
    has_data = np.all([s.any(axis=1) for s in steps], axis=0)
    has_padding = np.any([~s.all(axis=1) for s in steps], axis=0)
    lengths = np.sum([s.sum(axis=1) for s in steps], axis=0)
    able = [int(r) for r in np.argsort(-lengths, kind="stable") if has_data[r] and has_padding[r]]
    return sorted({able[0], able[-1]}) if able else []


def pad_steps(array: Array, extra: int, *, value: object, is_left: bool) -> Array:
    """Return the array [B, L, ...] with more steps of this value."""
    more = np.broadcast_to(
        np.asarray(value, array.dtype), (array.shape[0], extra, *array.shape[2:])
    )
    return np.concatenate([more, array] if is_left else [array, more], axis=1)


def pad_value(array: Array, steps: Array) -> Array:
    """Return what stands in the padding of [B, L, ...]; zeros if there is none."""
    found = array[~steps]
    return found[0] if len(found) else np.zeros(array.shape[2:], array.dtype)


def other_values(array: Array, entries: Array, random: np.random.Generator) -> Array:
    """Return the array with other legal values where `entries` is False."""
    data = array[entries]
    shape = array[~entries].shape
    if array.dtype.kind == "b":
        values = ~array[~entries]
    elif array.dtype.kind in "iuOSU":  # classes and strings: only those of the data are legal
        flat = data.reshape(-1) if data.size else array.reshape(-1)
        values = random.choice(flat, shape)
    else:
        finite = np.abs(data[np.isfinite(data)].astype("float64"))
        largest = min(10 * (1 + finite.max(initial=0)), float(np.finfo("float16").max) / 8)
        values = random.uniform(-largest, largest, shape)
    changed = array.copy()
    changed[~entries] = values.astype(array.dtype)
    return changed


def _fixed_lengths(batch: Batch) -> set[int]:
    return {f.steps.shape[1] for f in batch.given if f.is_fixed and f.steps is not None}


def _extent(steps: Array) -> int:
    """Return how many steps there are up to the last that is data."""
    return int(np.flatnonzero(steps)[-1]) + 1
