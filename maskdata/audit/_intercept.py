"""While they are open, a handler sees every call of a layer, operation, `keras.ops`, operator."""

import contextlib
import functools
import inspect
import sys
import threading
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

OPERATORS = {
    "+": ("__add__", "__radd__"),
    "-": ("__sub__", "__rsub__"),
    "*": ("__mul__", "__rmul__"),
    "/": ("__truediv__", "__rtruediv__"),
    "//": ("__floordiv__", "__rfloordiv__"),
    "%": ("__mod__", "__rmod__"),
    "**": ("__pow__", "__rpow__"),
    "@": ("__matmul__", "__rmatmul__"),
    "negative": ("__neg__",),
    "absolute": ("__abs__",),
    "[...]": ("__getitem__",),
}
# They make a tensor, look at it or cast it at the border of NumPy; none of them computes a step.
_NOT_OPERATIONS = {"convert_to_tensor", "convert_to_numpy", "is_tensor", "shape", "size", "dtype"}
_LIBRARIES = ("keras", "maskdata", "tensorflow", "jax", "torch", "numpy")


@dataclass(frozen=True)
class Target:
    """What is called.

    Attributes:
        op: The layer or operation, or the function.
        name: Its own name.
        is_layer: Whether it is a layer.
        is_written: Whether the call stands in somebody's code as an operator or a function of
            `keras.ops`, and not as a node of a functional model.
    """

    op: Any
    name: str
    is_layer: bool = False
    is_written: bool = False


Handler = Callable[[Target, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


Replacement = tuple[Any, str, Any]  # owner, name, what it becomes


@contextlib.contextmanager
def intercept_calls(
    handle: Handler, drew: Callable[[keras.random.SeedGenerator], None]
) -> Iterator[None]:
    """Send calls of layers and operations through `handle`; tell `drew` before a seed is drawn.

    Keras has no hooks for calls, so methods of public classes are replaced for a while. Other
    threads see no difference.
    """
    thread = threading.get_ident()

    def through(original: Any, *, is_layer: bool) -> Any:
        def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != thread:
                return original(self, *args, **kwargs)
            target = Target(self, self.name, is_layer=is_layer)
            return handle(target, functools.partial(original, self), args, kwargs)

        return call

    def next_seed(self: keras.random.SeedGenerator, *args: Any, **kwargs: Any) -> Any:
        drew(self)
        return draw(self, *args, **kwargs)

    layer, operation, generator = keras.layers.Layer, keras.Operation, keras.random.SeedGenerator
    draw = generator.next
    with _replaced(
        [
            (layer, "__call__", through(layer.__call__, is_layer=True)),
            (operation, "__call__", through(operation.__call__, is_layer=False)),
            (generator, "next", next_seed),
        ]
    ):
        yield


@contextlib.contextmanager
def intercept_code(handle: Handler) -> Iterator[None]:
    """Send what stands in somebody's code through `handle`: functions of `keras.ops`, operators.

    The functions of the module and the methods of the backend's tensors are replaced for a while.
    Libraries, which call them too, and other threads see no difference.
    """
    thread = threading.get_ident()

    def written(op: Any, name: str, original: Any) -> Any:
        target = Target(op, name, is_written=True)

        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != thread or _is_library(sys._getframe(1)):
                return original(*args, **kwargs)
            return handle(target, original, args, kwargs)

        return call

    with _replaced(
        [(ops, name, written(f, name, f)) for name, f in _functions().items()]
        + [
            (owner, method, written(name, name, vars(owner)[method]))
            for owner, method, name in _operators()
        ]
    ):
        yield


@contextlib.contextmanager
def _replaced(replacements: list[Replacement]) -> Iterator[None]:
    originals = [(owner, name, vars(owner)[name]) for owner, name, _ in replacements]
    try:
        for owner, name, new in replacements:
            setattr(owner, name, new)
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _is_library(caller: types.FrameType) -> bool:
    """Tell whether an operator or function is called by a library, and not by somebody's code."""
    return str(caller.f_globals.get("__name__")).split(".")[0] in _LIBRARIES


def _functions() -> dict[str, Any]:
    """Return the functions of `keras.ops` by name."""
    found = vars(ops).items()
    return {n: f for n, f in found if inspect.isfunction(f) and n not in _NOT_OPERATIONS}


@functools.cache
def _operators() -> list[tuple[type, str, str]]:
    """Return class, method and name of each operator of the backend's tensors."""
    kinds = type(ops.convert_to_tensor([0.0])).__mro__
    found = [
        (next((kind for kind in kinds if method in vars(kind)), None), method, name)
        for name, methods in OPERATORS.items()
        for method in methods
    ]
    return [(owner, method, name) for owner, method, name in found if owner is not None]
