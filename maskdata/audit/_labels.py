"""Predictions, labels, weights -> the same ones in other padding."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops

from maskdata.audit import _variants
from maskdata.audit._batch import Batch
from maskdata.audit._recorded import Array, Origin
from maskdata.audit._run import Run
from maskdata.audit._steps import Steps
from maskdata.audit._tensors import is_tensor, mask_of, with_mask

Labels = tuple[Any, Any, Any]  # y, y_pred, sample_weight


@dataclass(frozen=True)
class Predictions:
    """What the model returned for a batch, and the steps of it.

    Attributes:
        batch: The batch.
        outputs: What the model returned.
        steps: What is known of the steps of each output, in flat order.
    """

    batch: Batch
    outputs: Any
    steps: list[Steps | None]

    @classmethod
    def of(cls, run: Run, batch: Batch, steps: Mapping[Origin, Steps]) -> "Predictions":
        """Return the predictions of a run."""
        outputs = run.calls[()].outputs
        return cls(batch, run.outputs, [steps.get(origin) for origin in outputs])

    @property
    def labels(self) -> Labels:
        """The labels, the predictions and the weights."""
        return self.batch.y, self.outputs, self.batch.sample_weight

    def data(self, place: int) -> Array | None:
        """Return which steps of an output are data; those of the batch if it is as long."""
        known = self.steps[place] if place < len(self.steps) else None
        if known is not None and known.data is not None:
            return known.data
        shape = tuple(keras.tree.flatten(self.outputs)[place].shape)
        data = self.batch.steps_by_length().get(shape[1]) if len(shape) > 1 else None
        return data if data is not None and known is None and self._has_labels(shape[1]) else None

    def _has_labels(self, length: int) -> bool:
        """Tell whether labels have so many steps: then so have the predictions."""
        shapes = [np.shape(y) for y in keras.tree.flatten(self.batch.y) if y is not None]
        return any(len(shape) > 1 and shape[1] == length for shape in shapes)

    def with_other_padding(self) -> "Predictions":
        """Return them with other predictions at the steps that are padding."""
        random = np.random.default_rng(0)

        def other(place: int, tensor: Any) -> Any:
            data = self.data(place)
            if data is None or data.all() or not data.any():
                return tensor
            array = np.array(ops.convert_to_numpy(tensor))
            # Those of other steps: whatever predictions are, these are legal.
            array[~data] = array[data][random.integers(0, data.sum(), (~data).sum())]
            return with_mask(ops.convert_to_tensor(array), mask_of(tensor))

        return self._changed(other)

    def with_masks(self) -> "Predictions":
        """Return them with the mask of their steps."""
        return self._changed(
            lambda place, tensor: (
                tensor if self.data(place) is None else with_mask(tensor, self.data(place))
            )
        )

    def with_weights(self) -> "Predictions":
        """Return them with the mask of their steps as weights, if there are none."""
        if self.batch.sample_weight is not None:
            return self
        flat = keras.tree.flatten(self.batch.y)
        if len(flat) != len(keras.tree.flatten(self.outputs)):
            return self
        weights = [
            None if data is None else ops.cast(ops.convert_to_tensor(data), "float32")
            for data in map(self.data, range(len(flat)))
        ]
        weight = keras.tree.pack_sequence_as(self.batch.y, weights)
        return replace(self, batch=replace(self.batch, sample_weight=weight))

    def rows(self, rows: slice) -> Labels:
        """Return the labels, predictions and weights of some rows."""

        def part(leaf: Any) -> Any:
            if leaf is None:
                return None
            mask = mask_of(leaf) if is_tensor(leaf) else None
            taken = ops.convert_to_tensor(np.asarray(ops.convert_to_numpy(leaf))[rows])
            return taken if mask is None else with_mask(taken, mask[rows])

        return keras.tree.map_structure(part, self.labels)  # type: ignore[no-any-return]

    def _changed(self, change: Callable[[int, Any], Any]) -> "Predictions":
        flat = keras.tree.flatten(self.outputs)
        changed = [change(i, t) if is_tensor(t) else t for i, t in enumerate(flat)]
        outputs = keras.tree.pack_sequence_as(self.outputs, changed)
        return replace(self, outputs=outputs)


def extended(labels: Batch, base: Predictions, other: Predictions, ignored: Any) -> Batch:
    """Return a batch whose labels and weights are padded as the predictions are.

    Labels are padded with what stands in their padding; if there is none, with the label that the
    loss ignores, or zeros. Weights are padded with 0.
    """
    pairs = zip(*(map(_shape, keras.tree.flatten(p.outputs)) for p in (base, other)), strict=True)
    longer = {a[1]: (i, b[1]) for i, (a, b) in enumerate(pairs) if len(a) > 1 and a[1] != b[1]}

    def pad(leaf: Any, *, is_weight: bool) -> Any:
        array = None if leaf is None else np.asarray(ops.convert_to_numpy(leaf))
        if array is None or array.ndim < 2 or array.shape[1] not in longer:
            return leaf
        place, length = longer[array.shape[1]]
        data, value = base.data(place), np.zeros(array.shape[2:], array.dtype)
        if not is_weight and data is not None and not data.all():
            value = _variants.pad_value(array, data)
        elif not is_weight and ignored is not None:
            value = np.broadcast_to(np.asarray(ignored, array.dtype), array.shape[2:])
        is_left = (
            array.shape[1] in labels.steps_by_length() and labels.side(array.shape[1]) == "left"
        )
        return ops.convert_to_tensor(
            _variants.pad_steps(array, length - array.shape[1], value=value, is_left=is_left)
        )

    y = keras.tree.map_structure(lambda leaf: pad(leaf, is_weight=False), labels.y)
    weight = keras.tree.map_structure(lambda leaf: pad(leaf, is_weight=True), labels.sample_weight)
    return replace(other.batch, y=y, sample_weight=weight)


def _shape(leaf: Any) -> tuple[int, ...]:
    return tuple(leaf.shape) if is_tensor(leaf) else ()
