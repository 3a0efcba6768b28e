"""A packed batch -> other rows in some of its segments; its segments in another order."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from maskdata.audit._batch import Batch, Feature
from maskdata.audit._recorded import Array
from maskdata.data._names import SEGMENT_MASK

Slots = Mapping[str, Array]  # segment ids or segment mask -> which slot of the batch is here now


def others_in(batch: Batch, remainder: int, seed: int = 0) -> Batch:
    """Return the batch with other values in the segments whose number has this remainder by 2."""
    random = np.random.default_rng(seed)
    numbers = segment_numbers(batch)

    def change(feature: Feature) -> Feature:
        packed_by = _packed_by(feature)
        if packed_by is None or feature.is_mask:
            return feature
        of_feature = numbers[packed_by]
        if _are_positions(feature.array, of_feature):  # the lengths stay what they are
            return feature
        entries = of_feature > 0 if feature.entries is None else feature.entries
        touched = (of_feature > 0) & (of_feature % 2 == remainder)
        touched = entries & touched.reshape(*touched.shape, *[1] * (entries.ndim - 2))
        return replace(feature, array=_others(feature.array, entries, touched, random))

    changed = batch.map(change)
    pairs = zip(batch.given, changed.given, strict=True)
    if all(np.array_equal(before.array, after.array) for before, after in pairs):
        raise ValueError("All steps hold the same values. Give a batch of different rows")
    return changed


def reversed_order(batch: Batch) -> tuple[Batch, Slots]:
    """Return the batch with the segments of each packed row in reverse, and what stands where."""
    unknown = [f.name for f in batch.given if f.array.ndim > 1 and _packed_by(f) is None]
    if unknown:
        raise ValueError(f"Where the segments of {', '.join(unknown)} are is not known")
    numbers = segment_numbers(batch)
    slots = {name: _reversed_slots(of) for name, of in numbers.items()}
    largest = [of.max(axis=1, keepdims=True) for of in numbers.values()]
    counts = np.max(largest, axis=0)

    def move(feature: Feature) -> Feature:
        packed_by = _packed_by(feature)
        if packed_by is None:
            return feature
        array = _taken(feature.array, slots[packed_by])
        if feature.packed_by == feature.name:
            array = np.where(array > 0, counts + 1 - array, 0).astype(array.dtype)
        entries = feature.entries
        entries = None if entries is None else _taken(entries, slots[packed_by])
        return replace(feature, array=array, entries=entries)

    return batch.map(move), slots


def segment_numbers(batch: Batch) -> dict[str, Array]:
    """Return the number of the segment that each slot is in, by segment ids and segment mask."""
    found = batch.segment_ids()
    mask = next((f.array for f in batch.given if f.name == SEGMENT_MASK), None)
    if mask is not None:
        found[SEGMENT_MASK] = np.where(mask != 0, np.arange(mask.shape[1]) + 1, 0)
    return found


def _reversed_slots(numbers: Array) -> Array:
    """Return which slot comes to each slot if the segments with these numbers are reversed."""
    slots = np.tile(np.arange(numbers.shape[1]), (len(numbers), 1))
    for row, here in zip(numbers, slots, strict=True):
        data = np.flatnonzero(row)
        here[data] = data[np.argsort(-row[data], kind="stable")]
    return slots


def _taken(array: Array, slots: Array) -> Array:
    return np.asarray(array[np.arange(len(slots))[:, None], slots])


def _packed_by(feature: Feature) -> str | None:
    """Return what tells the segments of a feature."""
    return SEGMENT_MASK if feature.is_of_segments else feature.packed_by


def _are_positions(array: Array, numbers: Array) -> bool:
    """Tell whether each step holds how many steps of its segment come before it."""
    if array.shape != numbers.shape or array.dtype.kind not in "iu":
        return False
    slot = np.arange(numbers.shape[1])
    begins = np.diff(numbers, axis=1, prepend=0) != 0
    position = slot - np.maximum.accumulate(np.where(begins, slot, 0), axis=1)
    return bool((array == position)[numbers > 0].all())


def _others(array: Array, entries: Array, touched: Array, random: np.random.Generator) -> Array:
    """Return the array with values of other `entries` where it is `touched`."""
    items, now = array[entries], array[touched]
    if not len(now):
        return array
    new = items[random.integers(0, len(items), len(now))]
    for _ in range(8):  # draws that hit upon the same value
        same = (new == now).reshape(len(now), -1).all(axis=1)
        new[same] = items[random.integers(0, len(items), same.sum())]
    changed = array.copy()
    changed[touched] = new
    return changed
