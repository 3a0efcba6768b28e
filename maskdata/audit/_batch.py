"""x, (x, y) or (x, y, sample_weight) -> the tensors of x by name."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import keras
import numpy as np
from keras import ops

from maskdata.audit._recorded import Array
from maskdata.audit._tensors import leading, mask_of, with_mask


@dataclass(frozen=True)
class Feature:
    """One tensor of `x`.

    Attributes:
        name: What it is called.
        array: Its numbers [B, ...].
        steps: Which steps are data [B, L]; None for a feature without steps.
        entries: The same for each entry, if its mask has more axes [B, L, M].
        is_mask: Whether it is a mask itself.
        is_fixed: Whether the model takes only this number of steps.
        carries_mask: Whether it came with a Keras mask, and is given to the model with it.
        is_like: The feature whose steps it has because it is as long, if it has no mask itself.
        packed_by: The feature that holds its segment ids, if several rows are packed into one.
        is_of_segments: Whether it has a value for each segment of a packed row [B, S, ...].
    """

    name: str
    array: Array
    steps: Array | None = None
    entries: Array | None = None
    is_mask: bool = False
    is_fixed: bool = False
    carries_mask: bool = False
    is_like: str | None = None
    packed_by: str | None = None
    is_of_segments: bool = False


@dataclass(frozen=True)
class Batch:
    """A batch, with what is known of its padding.

    Attributes:
        features: The flat leaves of `x`; None where the model takes an input that is not given.
        structure: `x` itself, for its structure.
        y: Labels or None.
        sample_weight: Weights or None.
    """

    features: tuple[Feature | None, ...]
    structure: Any
    y: Any = None
    sample_weight: Any = None

    @property
    def x(self) -> Any:
        """The input as the model takes it."""
        flat = [None if feature is None else _as_tensor(feature) for feature in self.features]
        return keras.tree.pack_sequence_as(self.structure, flat)

    @property
    def arrays(self) -> list[Array | None]:
        """The flat leaves of `x`."""
        return [None if feature is None else feature.array for feature in self.features]

    @property
    def given(self) -> list[Feature]:
        """The features that are there."""
        return [feature for feature in self.features if feature is not None]

    def segment_ids(self) -> dict[str, Array]:
        """Return the features that hold segment ids [B, L], if the batch is packed."""
        return {f.name: f.array for f in self.given if f.packed_by == f.name}

    def steps_by_length(self) -> dict[int, Array]:
        """Return padded length -> which steps are data in any feature of that length [B, L]."""
        found: dict[int, Array] = {}
        for feature in self.given:
            if feature.steps is not None:
                length = feature.steps.shape[1]
                found[length] = found.get(length, False) | feature.steps
        return found

    def side(self, length: int) -> str:
        """Return where features of this length are padded: "left" or "right"."""
        steps = self.steps_by_length()[length]
        is_left = not steps[:, 0].all() and bool(steps[:, -1].all())
        return "left" if is_left else "right"

    def map(self, change: Any) -> "Batch":
        """Return the batch with every feature changed by a function."""
        changed = (None if feature is None else change(feature) for feature in self.features)
        return replace(self, features=tuple(changed))


def parse(who: str, model: Any, batch: Any) -> Batch:
    """Return the batch by feature, or refuse it. Of masks nothing is known yet."""
    x, y, sample_weight = _parts(who, batch)
    declared = _declared_inputs(model)
    names, leaves = _named_leaves(x, declared)
    features = [
        None
        if leaf is None
        else _as_feature(who, name, leaf, is_fixed=_is_fixed(declared, names, i))
        for i, (name, leaf) in enumerate(zip(names, leaves, strict=True))
    ]
    made = Batch(tuple(features), x, y, sample_weight)
    if not made.given:
        refuse(who, "x must hold a tensor", x, "Give a batch that the model can be called on.")
    rows = {feature.name: len(feature.array) for feature in made.given}
    if len(set(rows.values())) > 1:
        refuse(who, "all of x must have the same number of rows", rows, "Give one batch.")
    return made


def refuse(
    who: str, must: str, got: Any, remedy: str, error: type[Exception] = ValueError
) -> NoReturn:
    """Raise `error` in the house form."""
    raise error(f"{who}: {must}, got {got!r}. {remedy}")


def _parts(who: str, batch: Any) -> tuple[Any, Any, Any]:
    if hasattr(batch, "element_spec"):
        remedy = "Take one: next(iter(dataset))."
        refuse(who, "batch must be one batch", batch, remedy, TypeError)
    if not isinstance(batch, tuple):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise ValueError(
            f"{who}: batch must be x, (x, y) or (x, y, sample_weight), got a tuple of {len(batch)}. "
            "Give several inputs as a list or dict."
        )
    return (*batch, None, None)[:3]


def _declared_inputs(model: Any) -> list[Any]:
    """Return the symbolic inputs of a functional model; others declare none."""
    try:
        return list(model.inputs)
    except (AttributeError, ValueError, TypeError):
        return []


def _named_leaves(x: Any, declared: list[Any]) -> tuple[list[str], list[Any]]:
    found = keras.tree.flatten_with_path(x)
    names = [".".join(map(str, path)) for path, _ in found]
    if not isinstance(x, dict) and len(declared) == len(found):
        names = [tensor.name for tensor in declared]
    elif not isinstance(x, dict):
        names = [f"x[{name}]" if name else "x" for name in names]
    return names, [leaf for _, leaf in found]


def _as_feature(who: str, name: str, leaf: Any, *, is_fixed: bool) -> Feature:
    array = _as_array(who, name, leaf)
    mask = mask_of(leaf) if ops.is_tensor(leaf) else None
    if mask is None or mask.ndim < 2:
        return Feature(name, array, is_fixed=is_fixed)
    steps = leading(mask)
    return Feature(name, array, steps, mask, is_fixed=is_fixed, carries_mask=True)


def _as_tensor(feature: Feature) -> Any:
    tensor = ops.convert_to_tensor(feature.array)
    return with_mask(tensor, feature.entries) if feature.carries_mask else tensor


def _as_array(who: str, name: str, leaf: Any) -> Array:
    if hasattr(leaf, "row_splits") or hasattr(leaf, "indices"):
        remedy = "Apply ToDense first."
        refuse(who, f"{name!r} must be a dense tensor", type(leaf).__name__, remedy, TypeError)
    array = np.asarray(ops.convert_to_numpy(leaf) if ops.is_tensor(leaf) else leaf)
    if array.ndim == 0:
        refuse(who, f"{name!r} must have rows", leaf, "Give a batch of rows.")
    return array


def _is_fixed(declared: list[Any], names: list[str], place: int) -> bool:
    """Tell whether the model says how many steps this input has."""
    of_name = [tensor for tensor in declared if tensor.name == names[place]]
    in_place = declared[place : place + 1] if len(declared) == len(names) else []
    shapes = [tensor.shape for tensor in of_name or in_place]
    return any(len(shape) > 1 and shape[1] is not None for shape in shapes)


def names_of(features: Iterable[Feature]) -> list[str]:
    """Return the names of features."""
    return [feature.name for feature in features]
