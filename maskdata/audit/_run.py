"""A model and one batch -> every call in order, with its inputs, outputs and masks."""

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from maskdata._masks import Tensor
from maskdata.audit import _mask_arguments
from maskdata.audit._intercept import Target, intercept_calls, intercept_code
from maskdata.audit._recorded import Array, Key, Origin, Plan, Recorded, Value
from maskdata.audit._said import first_line, is_about_masks
from maskdata.audit._targets import is_own, looks_inside, place, takes_training
from maskdata.audit._tensors import (
    is_cast_of,
    is_tensor,
    mask_of,
    numbers,
    overwrite,
    with_mask,
    without_masks,
)

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


@dataclass
class _Frame:
    call: Recorded
    is_open: bool
    sees_code: bool
    children: int = 0


class Run:
    """A run of `model` on the input `x`, whose flat leaves are `arrays`.

    Attributes:
        calls: Each call by its place, in the order in which they began.
        finished: Their places in the order in which they ended.
        values: The numbers behind each origin, as the call gave them.
        outputs: What the model returned.
        warnings: What was warned of, other than masks.
    """

    def __init__(
        self,
        model: keras.Model,
        x: Any,
        arrays: list[Array | None],
        plan: Plan,
        drew: Callable[[keras.random.SeedGenerator], None],
    ) -> None:
        self.calls: dict[Key, Recorded] = {}
        self.finished: list[Key] = []
        self.values: dict[Origin, Value] = {
            Origin("x", (), i): Value(array) for i, array in enumerate(arrays) if array is not None
        }
        self._model = model
        self._plan = plan
        self._stack: list[_Frame] = []
        self._origins: dict[int, Origin] = {}
        self._kept: list[Any] = []  # an id belongs to a tensor as long as that lives
        self._is_paused = self._sees_code = False

        def drew_here(generator: keras.random.SeedGenerator) -> None:
            drew(generator)
            if self._stack:
                self._stack[-1].call.drew = True

        with warnings.catch_warnings(record=True) as self._log:
            warnings.simplefilter("always")
            with contextlib.ExitStack() as self._open:
                self._open.enter_context(intercept_calls(self._handle, drew_here))
                self.outputs = model(x, training=plan.training)
        self.warnings = [entry for entry in self._log if not is_about_masks(entry)]

    def _handle(
        self, target: Target, function: Callable[..., Any], args: Args, kwargs: Kwargs
    ) -> Any:
        frame = self._stack[-1] if self._stack else None
        if self._is_paused or not self._is_recorded(frame, target):
            return function(*args, **kwargs)
        self._is_paused = True
        try:
            tensors = [leaf for leaf in keras.tree.flatten((args, kwargs)) if is_tensor(leaf)]
            are_there = all(id(t) in self._origins or numbers(t) is not None for t in tensors)
            if not tensors or not are_there:
                return self._resumed(function, args, kwargs)
            return self._record(frame, target, function, args, kwargs)
        finally:
            self._is_paused = False

    def _is_recorded(self, frame: _Frame | None, target: Target) -> bool:
        if frame is None:
            return target.op is self._model
        # A layer's __call__ goes on to that of an operation: one call.
        return (
            frame.is_open
            and frame.call.target.op is not target.op
            and (frame.sees_code or not target.is_written)
        )

    def _record(
        self,
        frame: _Frame | None,
        target: Target,
        function: Callable[..., Any],
        args: Args,
        kwargs: Kwargs,
    ) -> Any:
        key: Key = () if frame is None else (*frame.call.key, frame.children)
        if frame is not None:
            frame.children += 1
        call = self.calls[key] = Recorded(key, target, place() if target.is_written else "")
        args, kwargs, tensors = self._enter(call, args, kwargs)
        is_open = looks_inside(target) and key not in self._plan.closed
        sees_code = is_open and not is_own(target.op)
        if sees_code and not self._sees_code:
            self._open.enter_context(intercept_code(self._handle))
            self._sees_code = True
        self._stack.append(_Frame(call, is_open, sees_code))
        first = len(self._log)
        try:
            outputs = self._call(call, function, args, kwargs)
        except Exception as error:
            if not hasattr(error, "_audited_call"):
                error._audited_call = call  # type: ignore[attr-defined]
            raise
        finally:
            self._stack.pop()
        call.unmasked = [
            origin
            for origin, tensor, was_masked in zip(call.inputs, tensors, call.masked, strict=True)
            if was_masked and mask_of(tensor) is None
        ]
        call.warned = any(
            is_about_masks(w) and f"'{target.name}'" in str(w.message) for w in self._log[first:]
        )
        self._note_losses(call)
        outputs = self._leave(call, outputs)
        self.finished.append(key)
        return outputs

    def _resumed(self, function: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
        """Call with recording switched on again."""
        self._is_paused = False
        try:
            return function(*args, **kwargs)
        finally:
            self._is_paused = True

    def _call(
        self, call: Recorded, function: Callable[..., Any], args: Args, kwargs: Kwargs
    ) -> Any:
        if not call.target.is_layer or self._stack[-1].is_open:
            return self._resumed(function, args, kwargs)
        bare = without_masks(args), without_masks(_mask_arguments.without(kwargs))
        tries = [(args, kwargs), bare]
        first, second = reversed(tries) if self._plan.without_masks else tries
        try:
            return self._resumed(function, *first)
        except Exception as error:
            try:
                outputs = self._resumed(function, *second)
            except Exception:
                raise error from None
            call.failed = first_line(error)
            return outputs

    def _enter(
        self, call: Recorded, args: Args, kwargs: Kwargs
    ) -> tuple[Args, Kwargs, list[Tensor]]:
        """Note the inputs, and change them as planned."""
        is_layer = call.target.is_layer
        masks, others = _mask_arguments.split(kwargs) if is_layer else ({}, kwargs)
        call.given_mask = any(map(is_tensor, keras.tree.flatten(masks.get("mask"))))
        tensors: list[Tensor] = []

        def enter(leaf: Any) -> Any:
            if not is_tensor(leaf):
                return leaf
            origin = self._origin(call, leaf)
            mask, wanted = mask_of(leaf), self._plan.masks.get(origin)
            if origin in self._plan.overwritten and origin.source == "code":
                before = self.values[origin].array
                changed = overwrite(leaf, before, *self._plan.overwritten[origin])
                leaf = leaf if changed is leaf else with_mask(changed, mask)
            if call.key and wanted is not None and (mask is None or (mask != wanted).any()):
                leaf, mask = with_mask(leaf, wanted), wanted
            self._remember(leaf, origin)
            call.inputs.append(origin)
            call.masked.append(mask is not None)
            tensors.append(leaf)
            return leaf

        args, others = keras.tree.map_structure(enter, (args, others))
        masks = _mask_arguments.changed(masks, [self._plan.masks.get(o) for o in call.inputs])
        if self._plan.training and is_layer and takes_training(call.target.op):
            others["training"] = call.key not in self._plan.silent
        return args, {**others, **masks}, tensors

    def _leave(self, call: Recorded, outputs: Any) -> Any:
        """Note the outputs, and change them as planned."""
        changes = []

        def leave(leaf: Any) -> Any:
            array = numbers(leaf) if is_tensor(leaf) else None
            if array is None:
                return leaf
            origin, mask = Origin("call", call.key, len(call.outputs)), mask_of(leaf)
            self.values[origin] = Value(array, mask)
            call.outputs.append(origin)
            call.before.append(self._origins.get(id(leaf)))
            if origin in self._plan.overwritten:
                changed = overwrite(leaf, array, *self._plan.overwritten[origin])
                changes.append(changed is not leaf)
                leaf = with_mask(changed, mask) if changes[-1] else leaf
            self._remember(leaf, origin)
            return leaf

        changed = keras.tree.map_structure(leave, outputs)
        return changed if any(changes) else outputs

    def _note_losses(self, call: Recorded) -> None:
        if call.target.is_layer and call.key:
            total = np.sum([numbers(loss) for loss in call.target.op.losses])
            self.values[Origin("loss", call.key, 0)] = Value(np.asarray(total))

    def _origin(self, call: Recorded, tensor: Tensor) -> Origin:
        if id(tensor) in self._origins:
            return self._origins[id(tensor)]
        array = numbers(tensor)
        assert array is not None
        given = [(o, value.array) for o, value in self.values.items() if o.source == "x"]
        leaves = (origin for origin, leaf in given if is_cast_of(array, leaf))
        code = Origin("code", call.key, len(call.inputs))
        origin = self._plan.roots.get((call.key, len(call.inputs))) or next(leaves, code)
        if origin == code:
            self.values[code] = Value(array, mask_of(tensor))
        return origin

    def _remember(self, tensor: Tensor, origin: Origin) -> None:
        self._origins[id(tensor)] = origin
        self._kept.append(tensor)
