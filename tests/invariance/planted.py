"""A model with one known fault, or with none, and what the audit must say of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from tests.invariance.small_models import batch


@dataclass(frozen=True)
class Planted:
    """A model, a batch, and what the audit must say.

    Attributes:
        make: Returns the model and the batch.
        at: The name that each problem must have; operations have one of their own.
        says: Words of the problem or its advice.
        mask: The argument of the audit.
    """

    make: Callable[[], tuple[keras.Model, Any]]
    at: str = ""
    says: str = ""
    mask: Any = None


def fault_of(faults: dict[str, Planted]) -> Callable[..., Callable[[Any], Any]]:
    """Return a decorator that puts a model with a fault among these."""

    def fault(at: str, says: str, mask: str = "") -> Callable[[Any], Any]:
        def add(make: Any) -> Any:
            faults[make.__name__] = Planted(make, at, says, batch()[mask] if mask else None)
            return make

        return add

    return fault


def name_of(problem: Any) -> str:
    """Return the name of what is called, without file and line, and without the number Keras adds."""
    return re.sub(r"_\d+$", "", problem.name.split(" (")[0])
