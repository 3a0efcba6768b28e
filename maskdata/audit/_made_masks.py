"""A run -> the calls that make masks, and the padding of `x` that shows in them."""

import numpy as np

from maskdata.audit._batch import Batch, Feature
from maskdata.audit._recorded import Array, Origin, Recorded
from maskdata.audit._run import Run
from maskdata.audit._tensors import leading


def makers(run: Run) -> list[Recorded]:
    """Return the calls out of which a mask comes although none went in."""
    return [c for c in run.calls.values() if c.key and not c.has_mask and masks(run, c)]


def masks(run: Run, call: Recorded) -> dict[Origin, Array]:
    """Return the masks on the outputs of a call."""
    found = {origin: run.values[origin].mask for origin in call.outputs}
    return {origin: m for origin, m in found.items() if m is not None and m.ndim > 1}


def made_masks(run: Run, batch: Batch) -> tuple[dict[str, Array], set[str]]:
    """Return the masks that the model makes of features whose padding is not known.

    And the features that are such a mask themselves, under a name of their own. A mask belongs to
    the feature that its maker is called on, or else to the first that is as long.
    """
    found: dict[str, Array] = {}
    are_masks: set[str] = set()
    unknown = [f for f in batch.given if f.steps is None and not f.is_mask and not f.is_of_segments]
    known = [f.steps for f in batch.given if f.steps is not None]
    for call in makers(run):
        inputs = [batch.features[o.number] for o in call.inputs if o.source == "x"]
        for mask in masks(run, call).values():
            steps = leading(mask)
            as_long = [f for f in unknown if f.array.shape[:2] == steps.shape]
            direct = [f for f in as_long if any(f is feature for feature in inputs)]
            are_masks |= {f.name for f in direct if len(direct) > 1 and _is_mask(f, mask)}
            if any(np.array_equal(steps, of_feature) for of_feature in known):
                as_long = []
            data = [f for f in direct or as_long if f.name not in are_masks | found.keys()]
            found |= {f.name: steps for f in data[:1]}
    return found, are_masks


def _is_mask(feature: Feature, mask: Array) -> bool:
    array = feature.array
    return array.shape == mask.shape and np.array_equal(array, mask.astype(array.dtype))
