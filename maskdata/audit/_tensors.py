"""Tensors of any backend <-> NumPy, and the masks that they carry."""

from typing import Any

import keras
import numpy as np
from keras import ops

from maskdata._masks import Tensor, keras_mask
from maskdata.audit._recorded import Array
from maskdata.layers import AttachMask

_attach = AttachMask(name="audit")  # a name of its own: Keras counts the layers without


def is_tensor(thing: Any) -> bool:
    """Tell whether it is a tensor of the backend."""
    return bool(ops.is_tensor(thing))


def numbers(tensor: Tensor) -> Array | None:
    """Return the numbers of a tensor, or None if it is traced and has none yet."""
    try:
        return np.asarray(ops.convert_to_numpy(tensor))
    except Exception:  # each backend has errors of its own
        return None


def mask_of(tensor: Tensor) -> Array | None:
    """Return the Keras mask of a tensor."""
    mask = keras_mask(tensor)
    return None if mask is None else np.asarray(ops.convert_to_numpy(mask)).astype(bool)


def is_cast_of(array: Array, leaf: Array) -> bool:
    """Tell whether an array holds the numbers of a leaf of the batch, perhaps cast by the model."""
    if array.shape != leaf.shape or (array.dtype.kind in "OSU") != (leaf.dtype.kind in "OSU"):
        return False
    with np.errstate(all="ignore"):
        leaf = leaf.astype(array.dtype)
    return np.array_equal(array, leaf, equal_nan=array.dtype.kind == "f")


def leading(mask: Array) -> Array:
    """Return which steps [B, L] have data in a mask of two axes or more."""
    return np.asarray(np.any(mask, axis=tuple(range(2, mask.ndim))))


def with_mask(tensor: Tensor, mask: Array | None) -> Tensor:
    """Return a copy that carries this mask, or none."""
    if mask is None or mask.shape != tuple(tensor.shape)[: mask.ndim]:
        return ops.copy(tensor)
    return _attach([tensor, ops.convert_to_tensor(mask)])


def without_masks(tree: Any) -> Any:
    """Return the same tree with copies of its tensors that carry no mask."""
    return keras.tree.map_structure(lambda x: ops.copy(x) if is_tensor(x) else x, tree)


def overwrite(tensor: Tensor, array: Array, index: Any, values: Array) -> Tensor:
    """Return the tensor, whose numbers are `array`, with other `values` at `index`."""
    if _is_same(array[index], values):
        return tensor
    array = array.copy()
    array[index] = values
    return ops.convert_to_tensor(array, dtype=keras.backend.standardize_dtype(tensor.dtype))


def _is_same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()
