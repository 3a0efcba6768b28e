"""The tensors of x by name, and `mask=` -> which steps of which features are data."""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from keras import ops

from maskdata.audit._batch import Batch, Feature, names_of, refuse
from maskdata.audit._recorded import Array
from maskdata.audit._segments import packed_by, with_segments
from maskdata.audit._tensors import leading
from maskdata.data._names import mask_name

_AS_STEPS = "Give one value per step, True or 1 where it is data."


def with_masks(who: str, batch: Batch, mask: Any) -> Batch:
    """Return the batch with the masks that stand in `x` by name, and those given as `mask`."""
    features = {feature.name: feature for feature in batch.given}
    masks: dict[str, list[Array]] = {}
    owner: dict[str, str] = {}  # mask in x -> feature
    for name in features:
        for of_level in (mask_name(name, level) for level in (1, 2, 3)):
            if of_level in features:
                owner[of_level] = name
                masks.setdefault(name, []).append(features[of_level].array)
    for name, given in _by_feature(who, batch, mask).items():
        if isinstance(given, str):
            owner[given] = name
            given = features[given].array
        masks[name] = [] if given is None else [_as_array(given)]

    packed = packed_by(batch, masks)
    for name, segment_ids in packed.items():
        if name not in owner:
            masks.setdefault(name, [features[segment_ids].array != 0])

    checked = {name: [_as_mask(who, features[name], m) for m in of] for name, of in masks.items()}
    made = batch.map(lambda feature: _masked(feature, checked.get(feature.name, [])))
    steps = {feature.name: feature.steps for feature in made.given}
    made = made.map(
        lambda feature: (
            replace(feature, is_mask=True, steps=steps[owner[feature.name]])
            if feature.name in owner
            else feature
        )
    )
    made = with_segments(made, packed)
    return _with_companions(made, [name for name, of in masks.items() if not of])


def with_made_masks(batch: Batch, made: Mapping[str, Array], are_masks: set[str]) -> Batch:
    """Return the batch with the masks that the model made of features that had none."""

    def masked(feature: Feature) -> Feature:
        if feature.name in are_masks:
            return replace(feature, steps=feature.array.astype(bool), is_mask=True)
        mask = made.get(feature.name)
        return feature if mask is None else replace(feature, steps=mask, entries=mask)

    return _with_companions(batch.map(masked), [])


def _masked(feature: Feature, masks: list[Array]) -> Feature:
    if not masks:
        return feature
    coarsest, finest = min(masks, key=np.ndim), max(masks, key=np.ndim)
    steps = leading(coarsest)
    return replace(feature, steps=steps, entries=finest)


def _with_companions(batch: Batch, without_steps: list[str]) -> Batch:
    """Give features without a mask the steps of the masked feature that is as long."""
    masked = [f for f in batch.given if f.entries is not None and f.is_like is None]

    def like(feature: Feature) -> Feature:
        if feature.steps is not None or feature.array.ndim < 2 or feature.name in without_steps:
            return feature
        if feature.is_of_segments:
            return feature
        as_long = [
            f for f in masked if f.steps is not None and f.steps.shape == feature.array.shape[:2]
        ]
        if not as_long or (feature.is_fixed and not any(f.is_fixed for f in as_long)):
            return feature
        steps = np.asarray(np.any([np.asarray(f.steps) for f in as_long], axis=0))
        likes = list(dict.fromkeys(f.packed_by or f.name for f in as_long))
        packed = as_long[0].packed_by if len(likes) == 1 else None
        return replace(
            feature, steps=steps, entries=steps, is_like=" or ".join(likes), packed_by=packed
        )

    return batch.map(like)


def _by_feature(who: str, batch: Batch, mask: Any) -> dict[str, Any]:
    """Return feature -> its mask as it was given: an array, the name of a tensor in `x`, or None."""
    if mask is None:
        return {}
    names = names_of(batch.given)
    if isinstance(mask, Mapping):
        given = dict(mask)
    elif isinstance(mask, str):
        _check_name(who, names, mask)
        shape = next(f.array.shape for f in batch.given if f.name == mask)
        given = dict.fromkeys(_of_shape(batch, shape, but=mask), mask)
    else:
        shape = _as_array(mask).shape
        given = dict.fromkeys(_of_shape(batch, shape), mask)
    if not given:
        shapes = {feature.name: feature.array.shape for feature in batch.given}
        refuse(who, f"mask must have the leading axes of a feature of x {shapes}", shape, _AS_STEPS)
    for name, of in given.items():
        _check_name(who, names, name)
        if isinstance(of, str):
            _check_name(who, names, of)
    return given


def _of_shape(batch: Batch, shape: tuple[int, ...], but: str = "") -> list[str]:
    return [
        feature.name
        for feature in batch.given
        if len(shape) > 1 and feature.array.shape[: len(shape)] == shape and feature.name != but
    ]


def _check_name(who: str, names: list[str], name: str) -> None:
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else "Name one of these."
        raise ValueError(f"{who}: no feature {name!r}; x has {sorted(names)}. {hint}")


def _as_array(mask: Any) -> Array:
    return np.asarray(ops.convert_to_numpy(mask) if ops.is_tensor(mask) else mask)


def _as_mask(who: str, feature: Feature, mask: Array) -> Array:
    what, shape = f"the mask of {feature.name!r}", feature.array.shape
    if mask.dtype.kind not in "biuf":
        refuse(who, f"{what} must be bool or numbers", str(mask.dtype), _AS_STEPS, TypeError)
    if mask.ndim < 2 or mask.shape != shape[: mask.ndim]:
        refuse(who, f"{what} must have the shape of its steps {shape[:2]}", mask.shape, _AS_STEPS)
    values = np.unique(mask.astype("float64"))
    if not np.isin(values, [0, 1]).all():
        refuse(who, f"{what} must hold 0 and 1", values[:5].tolist(), _AS_STEPS)
    return mask.astype(bool)
