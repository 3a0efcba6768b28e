"""What a run of a model leaves behind: calls, the tensors between them, and how it was changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from maskdata.audit._intercept import Target

Array = np.ndarray[Any, Any]
Key = tuple[int, ...]  # place in the tree of calls; () is the model itself


class Origin(NamedTuple):
    """Where a tensor comes from.

    Attributes:
        source: "x" for a leaf of the batch, "call" for the output of a call, "code" for an input
            that no recorded call made, "loss" for what a layer added to the losses.
        key: The call; () for a leaf of the batch.
        number: Which leaf, output or input.
    """

    source: str
    key: Key
    number: int


@dataclass(frozen=True)
class Value:
    """The numbers of a tensor, and the Keras mask that it carries."""

    array: Array
    mask: Array | None = None


@dataclass
class Recorded:
    """One call.

    Attributes:
        key: Its place.
        target: What was called.
        place: File and line, for an operator or function in somebody's code.
        inputs: Where its inputs come from, without arguments that are masks.
        masked: Which of them carried a Keras mask.
        given_mask: Whether it got an argument `mask`.
        outputs: Its outputs.
        before: What each output was before this call: an input, or the output of an inner call.
        unmasked: Inputs whose mask the call took away.
        warned: Whether Keras said that it destroys the mask.
        drew: Whether it drew random numbers.
        failed: What it raised with a mask, if it works without.
    """

    key: Key
    target: Target
    place: str = ""
    inputs: list[Origin] = field(default_factory=list)
    masked: list[bool] = field(default_factory=list)
    given_mask: bool = False
    outputs: list[Origin] = field(default_factory=list)
    before: list[Origin | None] = field(default_factory=list)
    unmasked: list[Origin] = field(default_factory=list)
    warned: bool = False
    drew: bool = False
    failed: str = ""

    @property
    def has_mask(self) -> bool:
        """Whether a mask came in that ought to come out again."""
        return self.given_mask or any(self.masked)


@dataclass(frozen=True)
class Plan:
    """How a run differs from a plain one.

    Attributes:
        training: Whether layers work as in training.
        silent: Calls that work as in inference all the same: those that draw random numbers.
        closed: Calls whose inner calls are not recorded.
        roots: Call and input -> where the tensor came from in the first run, if no call made it.
        overwritten: Entries of tensors, and what to write there.
        masks: Masks for inputs, in place of the one that they carry, or of none.
        without_masks: Whether layers get no mask at all.
    """

    training: bool = False
    silent: frozenset[Key] = frozenset()
    closed: frozenset[Key] = frozenset()
    roots: Mapping[tuple[Key, int], Origin] = field(default_factory=dict)
    overwritten: Mapping[Origin, tuple[Any, Array]] = field(default_factory=dict)
    masks: Mapping[Origin, Array] = field(default_factory=dict)
    without_masks: bool = False
