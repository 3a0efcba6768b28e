"""The keyword arguments of a layer's call -> those that are masks."""

from typing import Any

import keras
from keras import ops

from maskdata.audit._recorded import Array
from maskdata.audit._tensors import is_tensor

Kwargs = dict[str, Any]


def split(kwargs: Kwargs) -> tuple[Kwargs, Kwargs]:
    """Return the masks, and the other arguments."""
    masks = {name: value for name, value in kwargs.items() if _is_mask(name)}
    return masks, {name: value for name, value in kwargs.items() if name not in masks}


def without(kwargs: Kwargs) -> Kwargs:
    """Return the arguments with None for each mask."""
    return {name: None if _is_mask(name) else value for name, value in kwargs.items()}


def changed(masks: Kwargs, wanted: list[Array | None]) -> Kwargs:
    """Return the masks with other ones as `mask`, which functional models pass on as an argument."""
    given = [leaf for leaf in keras.tree.flatten(masks.get("mask")) if is_tensor(leaf)]
    if len(given) != len(wanted) or any(mask is None for mask in wanted):
        return masks
    flat = [ops.convert_to_tensor(mask) for mask in wanted]
    return {**masks, "mask": keras.tree.pack_sequence_as(masks["mask"], flat)}


def _is_mask(name: str) -> bool:
    return name == "mask" or name.endswith("_mask")
