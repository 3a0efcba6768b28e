"""Dense batches -> (x, y, sample_weight), what Keras takes."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks
from maskdata.data._names import ROW_MASK, SEGMENT_MASK, mask_name, row_mask_name
from maskdata.data._types import Element, Spec

Features = str | Sequence[str] | Mapping[str, str]


@final
@dataclass(frozen=True)
class ToKeras:
    """Hand batches to `fit`, `evaluate` and `predict`.

    Stage: dense batches -> **(x, y, sample_weight)**. Only `PrefetchToDevice` may follow.

    Emits the features that are named here and no others: a functional model that is given a key
    it does not declare may read the wrong tensor. Bool features become int8, because bool
    tensors make `fit` fail under MirroredStrategy (Keras 3.15). Weights become float32 of the
    loss's shape and are 0 wherever the mask of the targets is False, whatever they hold there. After
    `FillRows` the rows that it added get weight 0, also if no weights are asked for; so do, after
    `Pack`, the segments that are no rows of the data.

    Keras must know the number of batches, or it takes one optimizer step too many in each epoch: a
    dataset that does not know it gives a warning.

    Args:
        x: The inputs: one feature, several (a dict with these keys), or a mapping from the model's
            input names to features.
        y: The targets, likewise; None for `predict`.
        sample_weight: The weight of each step (or of each row, for targets without steps): a
            feature such as `"tags_mask"`. For several targets, a mapping from their keys to a
            feature or None.

    Shapes:
        in: dense features [B, ...]
        out: x [B, ...]; y [B, ...]; sample_weight of the loss's shape, [B] or [B, L] float32

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a feature that is
            missing, ragged or of strings, and for weights that do not have the shape of the loss.
        tf.errors.InvalidArgumentError: When read, for weights padded to another length than
            the targets.

    Example:
        >>> rows = md.from_rows({"tokens": [[5, 6], [7]], "tags": [[1, 2], [3]]})
        >>> to_keras = md.ToKeras(x=["tokens", "tokens_mask"], y="tags", sample_weight="tags_mask")
        >>> x, y, sample_weight = md.Chain(md.ToDense(), to_keras)(rows).get_single_element()
        >>> x["tokens_mask"].numpy().tolist(), y.numpy().tolist(), sample_weight.numpy().tolist()
        ([[1, 1], [1, 0]], [[1, 2], [3, 0]], [[1.0, 1.0], [1.0, 0.0]])
    """

    x: Features
    y: Features | None = None
    sample_weight: str | Mapping[str, str | None] | None = None

    def __post_init__(self) -> None:
        _check_features("x", self.x)
        if self.y is not None:
            _check_features("y", self.y)
        if self.sample_weight is None:
            return
        if self.y is None:
            _check.refuse(
                "ToKeras", "sample_weight must weight targets", self.sample_weight, "Pass y too."
            )
        if isinstance(self.y, str):
            _check.name("ToKeras", "sample_weight", self.sample_weight)
        elif not isinstance(self.sample_weight, Mapping) or set(self.sample_weight) != set(
            _by_key(self.y)
        ):
            _check.refuse(
                "ToKeras",
                f"sample_weight must map each of {sorted(_by_key(self.y))} to a feature or None",
                self.sample_weight,
                "One weight for several targets would be applied to losses of other shapes.",
            )

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset as tuples for Keras."""
        spec = _check.blocks("ToKeras", dataset)
        if self.y is not None and int(dataset.cardinality()) == tf.data.UNKNOWN_CARDINALITY:
            _warn_of_unknown_cardinality()
        weights = self._weights(spec)
        for name in [*_by_key(self.x).values(), *_by_key(self.y).values(), *weights.values()]:
            _check_model_input(spec, name)
        for key, name in weights.items():
            _check_weight(spec, _by_key(self.y)[key], name)

        def to_tuple(element: Element) -> tuple[Any, ...]:
            x = _pick(element, self.x)
            if self.y is None:
                return (x,)
            if not weights:
                return x, _pick(element, self.y)
            targets = _by_key(self.y)
            made: dict[str, Any] = {
                key: make_weight(element, targets[key], weights[key]) if key in weights else None
                for key in targets
            }
            return x, _pick(element, self.y), made[""] if isinstance(self.y, str) else made

        return map_blocks(dataset, to_tuple)

    def _weights(self, spec: Spec) -> dict[str, str]:
        """Return target key -> feature with its weights, for the targets that have some."""
        given = self.sample_weight
        asked = {"": given} if isinstance(given, str) else dict(given or {})
        rows_that_count = next((mask for mask in (ROW_MASK, SEGMENT_MASK) if mask in spec), None)
        if rows_that_count is not None:
            for key, target in _by_key(self.y).items():
                asked[key] = asked.get(key) or _step_mask(spec, target) or rows_that_count
        return {key: name for key, name in asked.items() if name is not None}


def _check_features(argument: str, features: Any) -> None:
    if isinstance(features, Mapping):
        if not features:
            _check.refuse("ToKeras", f"{argument} must name features", features, "Pass one.")
        for name in [*features, *features.values()]:
            _check.name("ToKeras", argument, name)
    elif isinstance(features, str):
        _check.name("ToKeras", argument, features)
    else:
        _check.names("ToKeras", argument, features)


def _by_key(features: Features | None) -> dict[str, str]:
    """Return model key -> feature; a single feature has the key ""."""
    if features is None:
        return {}
    if isinstance(features, str):
        return {"": features}
    return dict(features) if isinstance(features, Mapping) else {name: name for name in features}


def _pick(element: Element, features: Features) -> Any:
    picked = {key: _no_bool(element[name]) for key, name in _by_key(features).items()}
    return picked[""] if isinstance(features, str) else picked


def _no_bool(feature: tf.Tensor) -> tf.Tensor:
    return tf.cast(feature, tf.int8) if feature.dtype == tf.bool else feature


def _check_model_input(spec: Spec, name: str) -> None:
    found = _check.feature("ToKeras", spec, name)
    if isinstance(found, tf.RaggedTensorSpec):
        _check.refuse(
            "ToKeras",
            f"feature {name!r} must be dense",
            found,
            "Keras takes no ragged tensors: apply ToDense.",
        )
    if found.dtype == tf.string:
        _check.refuse(
            "ToKeras",
            f"feature {name!r} must hold numbers",
            found,
            "Turn strings into ids with Lookup.",
            TypeError,
        )


def _step_mask(names: Any, target: str) -> str | None:
    """Return the mask of the innermost steps of `target`, if it is a sequence."""
    masks = [name for level in (1, 2, 3) if (name := mask_name(target, level)) in names]
    return masks[-1] if masks else None


def _check_weight(spec: Spec, target: str, weight: str) -> None:
    """Refuse weights that Keras would spread over the wrong axis, or that cannot fit."""
    targets, weights = spec[target], spec[weight]
    mask = _step_mask(spec, target)
    if mask is not None:
        ranks = {spec[mask].shape.rank}
    elif targets.shape.rank == 1:
        ranks = {1}
    elif targets.shape.rank == 2 and targets.shape[1] is not None:
        ranks = {1, 2}  # [B, V] targets of whole rows, or [B, L] steps without padding
    else:
        ranks = set(range(2, targets.shape.rank + 1))
    fits = weights.shape.rank in ranks and all(
        a is None or b is None or a == b
        for a, b in zip(weights.shape.as_list(), targets.shape.as_list(), strict=False)
    )
    if not fits:
        _check.refuse(
            "ToKeras",
            f"sample_weight {weight!r} must have the shape of the loss of y {target!r} "
            f"{targets.shape.as_list()}",
            weights.shape.as_list(),
            "Give one weight per step: Keras would spread weights per row over the steps. "
            "Use the mask of the targets, or multiply with it.",
        )


def make_weight(element: Element, target: str, weight: str) -> tf.Tensor:
    """Return the weights of `target`, float32, 0 where its mask is False."""
    weights = tf.cast(element[weight], tf.float32)
    rows = _counted_rows(element, target)
    if rows is not None:
        rows = tf.reshape(rows, [-1] + [1] * (weights.shape.rank - 1))
        weights = tf.where(rows, weights, tf.zeros_like(weights))
    mask = _step_mask(element, target)
    if mask is None or mask == weight:
        return weights
    same_shape = tf.debugging.assert_equal(
        tf.shape(weights),
        tf.shape(element[mask]),
        message=f"ToKeras: sample_weight {weight} must be padded as {target} is. "
        "Pass the same lengths for both to ToDense.",
    )
    with tf.control_dependencies([same_shape]):
        return tf.where(element[mask], weights, tf.zeros_like(weights))


def _counted_rows(element: Element, target: str) -> tf.Tensor | None:
    """Return which rows count: not the fillers, nor those without a step in the targets.

    Targets without steps count if the row has a step in any feature.
    """
    if ROW_MASK not in element:
        return None
    of_target = element.get(row_mask_name(target))
    if of_target is not None:
        return of_target
    of_features = [element[name] for name in map(row_mask_name, element) if name in element]
    if not of_features:
        return element[ROW_MASK]
    return element[ROW_MASK] & tf.reduce_any(tf.stack(of_features), axis=0)


def _warn_of_unknown_cardinality() -> None:
    warnings.warn(
        "ToKeras: the number of batches is not known, and Keras will take one optimizer step too many "
        "in each epoch. Put CountBatches() after the batching transform; or assert_cardinality(n); "
        "or repeat() the dataset and pass steps_per_epoch to fit.",
        stacklevel=4,
    )
