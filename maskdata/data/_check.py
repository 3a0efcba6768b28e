"""Every refusal of the data half, worded once.

The form is `{Who}: {what must hold}, got {value!r}. {What to do.}`
"""

import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import tensorflow as tf

from maskdata.data._types import Spec

ROWS_REMEDY = "If the dataset holds single rows, apply RaggedBatch first."


def refuse(who: str, must: str, got: Any, remedy: str, error: type[Exception] = ValueError) -> None:
    """Raise `error` in the house form."""
    raise error(f"{who}: {must}, got {got!r}. {remedy}")


# Arguments: when a transform is built.


def integer(who: str, name: str, value: Any, *, minimum: int = 1) -> None:
    """Refuse anything but an int (True is none) of at least `minimum`."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        refuse(who, f"{name} must be an int", value, "Pass a whole number.", TypeError)
    if value < minimum:
        refuse(who, f"{name} must be at least {minimum}", value, "Pass a larger number.")


def boolean(who: str, name: str, value: Any) -> None:
    """Refuse anything but True and False."""
    if not isinstance(value, bool):
        refuse(who, f"{name} must be True or False", value, "Pass a bool.", TypeError)


def one_of(who: str, name: str, value: Any, allowed: Sequence[str]) -> None:
    """Refuse a value that is not among `allowed`."""
    if value not in allowed:
        refuse(who, f"{name} must be one of {list(allowed)}", value, "Pick one of these.")


def string(who: str, argument: str, value: Any) -> None:
    """Refuse anything but a str that is not empty."""
    if not isinstance(value, str) or not value:
        refuse(who, f"{argument} must be a str", value, "Pass a name.", TypeError)


def name(who: str, argument: str, value: Any) -> None:
    """Refuse anything but the name of a feature."""
    if not isinstance(value, str) or not value:
        refuse(who, f"{argument} must be the name of a feature", value, "Pass a str.", TypeError)


def names(who: str, argument: str, value: Any) -> None:
    """Refuse anything but several distinct names of features."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        refuse(who, f"{argument} must list feature names", value, "Pass a list of str.", TypeError)
    for entry in value:
        name(who, argument, entry)
    if len(set(value)) < len(value):
        refuse(who, f"{argument} must name each feature once", value, "Remove the repeated name.")


def integers(who: str, argument: str, value: Any, *, minimum: int = 1) -> None:
    """Refuse anything but a list of ints of at least `minimum`."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        refuse(who, f"{argument} must be a list of ints", value, "Pass a list.", TypeError)
    for entry in value:
        integer(who, f"each of {argument}", entry, minimum=minimum)


def increasing(who: str, argument: str, value: Any) -> None:
    """Refuse anything but strictly increasing ints of at least 1."""
    integers(who, argument, value)
    if any(a >= b for a, b in itertools.pairwise(value)):
        refuse(who, f"{argument} must be strictly increasing", value, "Sort it and drop repeats.")


def lengths(who: str, value: Any) -> None:
    """Refuse anything but a mapping of features to lengths."""
    if not isinstance(value, Mapping) or not value:
        refuse(
            who, "lengths must map features to lengths", value, "Pass {'tokens': 128}.", TypeError
        )
    for feature_name, length in value.items():
        integer(who, f"lengths[{feature_name!r}]", length)


# Datasets: when a transform is applied. Only the element_spec is read, no data.


def dataset(who: str, value: Any) -> None:
    """Refuse anything but a tf.data.Dataset whose batches are still on the host."""
    if not isinstance(value, tf.data.Dataset):
        refuse(
            who,
            "must be applied to a tf.data.Dataset",
            value,
            "Make one with read_text, from_rows or tf.data.",
            TypeError,
        )
    if getattr(value, "on_device", None):
        refuse(
            who,
            "must come before PrefetchToDevice",
            value,
            "Batches that wait on a device are ready for the model: make it the last step.",
        )


def element(who: str, value: Any) -> Spec:
    """Return the spec of a dataset of flat dicts of tensors; refuse any other dataset."""
    dataset(who, value)
    spec = value.element_spec
    if not isinstance(spec, dict):
        refuse(
            who,
            "an element must be a dict of features",
            spec,
            "Name the features: dataset.map(lambda x: {'tokens': x}).",
            TypeError,
        )
    for feature_name, feature_spec in spec.items():
        if not isinstance(feature_spec, tf.TensorSpec | tf.RaggedTensorSpec):
            refuse(
                who,
                f"feature {feature_name!r} must be a tensor or a ragged tensor",
                feature_spec,
                "Flatten nested dicts; turn sparse tensors into ragged ones.",
                TypeError,
            )
        if feature_spec.shape.rank is None:
            refuse(
                who,
                f"feature {feature_name!r} must have a known rank",
                feature_spec,
                "Give it one with tf.ensure_shape.",
            )
    return spec  # type: ignore[no-any-return]


def blocks(who: str, value: Any) -> Spec:
    """Return the spec of a dataset whose elements are batches of rows; refuse single rows."""
    spec = element(who, value)
    for feature_name, feature_spec in spec.items():
        if feature_spec.shape.rank == 0:
            refuse(
                who,
                f"elements must be batches of rows, but feature {feature_name!r} has no row axis",
                feature_spec,
                "The dataset holds single rows: apply RaggedBatch first.",
            )
    return spec


def movable_rows(who: str, value: Any) -> Spec:
    """Return the spec of blocks whose rows can be joined with those of the next block."""
    spec = blocks(who, value)
    for feature_name, feature_spec in spec.items():
        ragged_rank = getattr(feature_spec, "ragged_rank", 0)
        if None in feature_spec.shape[ragged_rank + 1 :].as_list():
            refuse(
                who,
                f"feature {feature_name!r} must have known inner dimensions",
                feature_spec,
                "Set them with tf.ensure_shape, or make the feature ragged.",
            )
    return spec


def feature(who: str, spec: Spec, wanted: str) -> Any:
    """Return the spec of feature `wanted`; refuse if there is none, naming the closest."""
    if wanted not in spec:
        close = difflib.get_close_matches(wanted, spec, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else "Name one of these."
        raise ValueError(f"{who}: no feature {wanted!r}; the element has {sorted(spec)}. {hint}")
    return spec[wanted]


def ragged_feature(who: str, spec: Spec, wanted: str) -> tf.RaggedTensorSpec:
    """Return the spec of a ragged feature; refuse dense ones."""
    found = feature(who, spec, wanted)
    if not isinstance(found, tf.RaggedTensorSpec):
        refuse(
            who,
            f"feature {wanted!r} must be ragged [B, (T), ...]",
            found,
            f"A dense feature has no row lengths. {ROWS_REMEDY}",
        )
    return found


def string_feature(who: str, spec: Spec, wanted: str) -> Any:
    """Return the spec of a feature of strings; refuse other dtypes."""
    found = feature(who, spec, wanted)
    if found.dtype != tf.string:
        refuse(
            who,
            f"feature {wanted!r} must hold strings",
            found,
            "Convert it with tf.strings.",
            TypeError,
        )
    return found


def new_features(who: str, spec: Spec, wanted: Iterable[str]) -> None:
    """Refuse to overwrite features."""
    for entry in wanted:
        if entry in spec:
            refuse(
                who,
                f"must not overwrite feature {entry!r}",
                spec[entry],
                "Rename or drop that feature first.",
            )


# Elements: when they are read.


def must_hold(condition: tf.Tensor, *message: Any) -> tf.Operation:
    """Return the op that fails with this message, of strings and tensors, unless `condition` holds.

    `tf.debugging.Assert` would put a branch of two functions around it: 10 microseconds for each
    element, and more for each iterator.
    """
    return tf.raw_ops.Assert(condition=condition, data=list(message))
