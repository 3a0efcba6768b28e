"""Several transforms -> one."""

from collections.abc import Callable
from typing import Any, final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._types import Transform
from maskdata.data.device import PrefetchToDevice


@final
class Chain:
    """Apply several transforms in turn, as one.

    Stage: what the first takes -> **what the last gives**.

    A chain is a value: chains of the same transforms are equal, chains in a chain are the same as
    one flat chain, and `print` shows one stage a line. An error tells the stage it comes from.

    Args:
        *transforms: In the order in which data flow: anything that takes a dataset and returns
            one. `PrefetchToDevice` can only be the last.

    Shapes:
        in: as the first transform
        out: as the last

    Raises:
        TypeError, ValueError: When built, for something that is no transform, or for
            `PrefetchToDevice` before the end; when applied, whatever a stage raises, with its place.

    Example:
        >>> prepare = md.Chain(md.Truncate({"tokens": 2}), md.PaddedBatch(2))
        >>> batch = prepare(md.from_rows({"tokens": [[1, 2, 3], [4]]})).get_single_element()
        >>> batch["tokens"].numpy().tolist()
        [[1, 2], [4, 0]]
        >>> md.Chain(prepare) == prepare
        True
    """

    def __init__(self, *transforms: Transform | Callable[[Any], Any]) -> None:
        flat: list[Any] = []
        for transform in transforms:
            if not callable(transform) or isinstance(transform, type):
                _check.refuse(
                    "Chain",
                    "each transform must take a dataset and return one",
                    transform,
                    "Pass an instance, as ToDense().",
                    TypeError,
                )
            flat += transform.transforms if isinstance(transform, Chain) else [transform]
        for stage in flat[:-1]:
            if isinstance(stage, PrefetchToDevice):
                _check.refuse(
                    "Chain",
                    "PrefetchToDevice must be the last stage",
                    stage,
                    "Later stages would run on the host again.",
                )
        self._transforms = tuple(flat)

    @property
    def transforms(self) -> tuple[Any, ...]:
        """The stages, in the order in which data flow."""
        return self._transforms

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset after all stages."""
        for number, transform in enumerate(self._transforms, start=1):
            try:
                dataset = transform(dataset)
            except Exception as error:
                error.add_note(f"In stage {number} of {len(self._transforms)}: {transform!r}")
                raise
        return dataset

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chain) and self._transforms == other._transforms

    def __hash__(self) -> int:
        return hash(self._transforms)

    def __repr__(self) -> str:
        stages = "".join(f"    {transform!r},\n" for transform in self._transforms)
        return f"Chain(\n{stages})" if stages else "Chain()"
