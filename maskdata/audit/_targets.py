"""What is called -> whether the audit looks inside, and where in somebody's code it stands."""

import inspect
import sys
from pathlib import Path
from typing import Any

import keras

from maskdata.audit._intercept import Target

_OWN = ("keras", "maskdata")  # their layers are judged as a whole, those of others from inside too


def looks_inside(target: Target) -> bool:
    """Tell whether the calls inside of this one are calls for the report."""
    return target.is_layer and (isinstance(target.op, keras.Model) or not is_own(target.op))


def is_own(op: Any) -> bool:
    """Tell whether Keras or maskdata wrote what the layer does."""
    writer = next(kind for kind in type(op).__mro__ if "call" in vars(kind))
    name = writer.__module__
    return name.split(".")[0] in _OWN and name != "maskdata.testing"  # which calls your function


def takes_training(layer: keras.layers.Layer) -> bool:
    """Tell whether the layer works differently in training."""
    return "training" in inspect.signature(layer.call).parameters


def place() -> str:
    """Return file and line of the code that is being run outside of Keras and maskdata."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _OWN:
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
