"""The tensors of x by name -> which of them are packed, by which segment ids."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from maskdata.audit._batch import Batch
from maskdata.audit._recorded import Array
from maskdata.audit._tensors import leading
from maskdata.data._names import SEGMENT_MASK, mask_name, positions_name, segment_ids_name

_SUFFIX = segment_ids_name("")


def packed_by(batch: Batch, masks: Mapping[str, list[Array]]) -> dict[str, str]:
    """Return feature -> the feature that holds its segment ids, which are packed by themselves.

    `masks` are those that are known. Segment ids that say otherwise number something else.
    """
    arrays = {feature.name: feature.array for feature in batch.given}
    found: dict[str, str] = {}
    for ids_name, ids in arrays.items():
        name = ids_name.removesuffix(_SUFFIX)
        if not ids_name.endswith(_SUFFIX) or not _are_segment_ids(ids):
            continue
        of_feature = [mask for mask in masks.get(name, []) if mask.shape[:2] == ids.shape]
        if any(not np.array_equal(leading(mask) != 0, ids != 0) for mask in of_feature):
            continue
        features = name, ids_name, positions_name(name), *(mask_name(name, i) for i in (1, 2, 3))
        found |= {
            feature: ids_name
            for feature in features
            if feature in arrays and arrays[feature].shape[:2] == ids.shape
        }
    return found


def with_segments(batch: Batch, packed: Mapping[str, str]) -> Batch:
    """Return the batch with what is known of its segments."""
    if not packed:
        return batch
    of_segments = next((f.array.shape for f in batch.given if f.name == SEGMENT_MASK), None)
    return batch.map(
        lambda feature: replace(
            feature,
            packed_by=packed.get(feature.name),
            is_mask=feature.is_mask or feature.name in (SEGMENT_MASK, packed.get(feature.name)),
            is_of_segments=feature.steps is None and feature.array.shape[:2] == of_segments,
        )
    )


def _are_segment_ids(ids: Array) -> bool:
    """Tell whether they are 0 for padding, and do not fall from step to step otherwise."""
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or (ids < 0).any():
        return False
    rows = [row[row > 0] for row in ids]
    return all((np.diff(row) >= 0).all() for row in rows)
