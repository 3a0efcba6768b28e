"""A model -> runs of it that leave no trace; two batches -> a trial of both."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from maskdata.audit._batch import Batch
from maskdata.audit._compare import Difference, Followed, Slots, differences, differences_at
from maskdata.audit._recorded import Array, Key, Origin, Plan
from maskdata.audit._run import Run
from maskdata.audit._state import State
from maskdata.audit._steps import Axes, follow


@dataclass
class Experiment:
    """A model that can be run again and again, and is the same afterwards.

    Attributes:
        model: The model.
        state: What is put back after every run.
        closed: Calls whose inner calls differ from run to run: they are judged as a whole.
        first: The first run, after which others name what they see.
    """

    model: keras.Model
    state: State
    closed: frozenset[Key] = frozenset()
    first: Run | None = None

    def run(self, batch: Batch, plan: Plan, *, other_noise: bool = False) -> Run:
        """Run the model, with the random numbers of every other run or with other ones."""
        roots = {} if self.first is None else _roots(self.first)
        plan = replace(plan, closed=self.closed, roots=roots)
        with self.state.kept():
            if other_noise:
                self.state.advance()
            return Run(self.model, batch.x, batch.arrays, plan, self.state.drew)


@dataclass
class Trial:
    """The same data in other padding, or among other segments, in two runs.

    Attributes:
        what: What was done to the padding.
        batches: The batch before and after.
        runs: The run of each, as the model is.
        verdict: What a call does whose data are other ones then.
        side: "left" or "right" if all padding on this side was taken away.
        injected: What stands in the padding after calls that make it up themselves.
        training: Whether layers work as in training.
        silent: Calls that work as in inference then.
        slots: Which entries belong together, if the steps do not tell: in packed rows.
        given: More entries that the second run gets from the first, where what comes later shall
            be judged on its own.
    """

    what: str
    batches: tuple[Batch, Batch]
    runs: tuple[Run, Run]
    verdict: str = "reads padding"
    side: str | None = None
    injected: Mapping[Origin, Array] = field(default_factory=dict)
    training: bool = False
    silent: frozenset[Key] = frozenset()
    slots: Mapping[Origin, Slots] | None = None
    given: Mapping[Origin, Any] = field(default_factory=dict)
    axes: Axes | None = None
    followed: tuple[Followed, Followed] = field(init=False)
    found: dict[Origin, Difference] = field(init=False)

    def compare(self, axes: Axes | None) -> None:
        """Compare the two runs, knowing which axes grow with the padding."""
        self.axes = axes
        rows = rows_with_data(self.batches[0])
        one, other = (
            Followed(run, follow(run, batch, axes), rows)
            for run, batch in zip(self.runs, self.batches, strict=True)
        )
        self.followed = one, other
        self.found = self.differences(*self.runs)

    def differences(self, one: Run, other: Run) -> dict[Origin, Difference]:
        """Compare two other runs of these batches."""
        if self.slots is not None:
            return differences_at(self.slots, one, other)
        first, second = self.followed
        first, second = replace(first, run=one), replace(second, run=other)
        return differences(first, second, self.axes, self.side)

    def base(self, overwritten: Mapping[Origin, tuple[Any, Array]] | None = None) -> Plan:
        """Return the plan for a run of the first batch, perhaps with given values."""
        return Plan(self.training, self.silent, overwritten=overwritten or {})

    def plan(self, overwritten: Mapping[Origin, tuple[Any, Array]] | None = None) -> Plan:
        """Return the plan for a run of the second batch, perhaps with given values."""
        injected = {origin: (..., array) for origin, array in self.injected.items()}
        return self.base({**(overwritten or {}), **injected})

    def values_of(
        self, run: Run, found: Mapping[Origin, Difference]
    ) -> dict[Origin, tuple[Any, Array]]:
        """Return the values that a run of the first batch has where data are, for the second."""
        right = {
            origin: (difference.slots[1], run.values[origin].array[difference.slots[0]])
            for origin, difference in found.items()
            if difference.slots is not None and origin.source in ("call", "code")
        }
        given = {o: (index, run.values[o].array[index]) for o, index in self.given.items()}
        return right | given


def _roots(run: Run) -> dict[tuple[Key, int], Origin]:
    """Return the inputs of calls that no call made."""
    return {
        (key, place): origin
        for key, call in run.calls.items()
        for place, origin in enumerate(call.inputs)
        if origin.source in ("x", "code")
    }


def rows_with_data(batch: Batch) -> Array:
    """Tell which rows have data in all features with steps [B]."""
    steps = batch.steps_by_length().values()
    return np.asarray(np.all([data.any(axis=1) for data in steps], axis=0))
