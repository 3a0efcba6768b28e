"""Checks for your own tests: padding must not change the result."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from maskdata.audit._audit import examine
from maskdata.audit._batch import refuse
from maskdata.layers import AttachMask

__all__ = ["assert_padding_invariant"]


def assert_padding_invariant(
    model_or_function: keras.layers.Layer | Callable[[Any], Any],
    batch: Any,
    *,
    mask: Any = None,
    tolerance: float = 1e-5,
) -> None:
    """Fail if padding changes what a model, layer or function returns.

    Stage: a model, layer or function and one batch -> **an AssertionError, or nothing**.

    A model is judged as by `audit`: outputs, and if it is compiled and the batch has labels, loss,
    gradients and metrics; and for a packed batch, whether segments stay apart. A layer is called on
    one tensor that carries its mask. A function is called on `x`. The error names the layers,
    operations, functions of `keras.ops` and operators at fault, and what mends them.

    Args:
        model_or_function: A model, a layer, or a function of `x` that returns tensors or arrays.
        batch: What `audit` takes; for a layer one tensor [B, L, ...].
        mask: Which steps are data, as for `audit`.
        tolerance: Largest relative change that counts as rounding, for float32.

    Shapes:
        x: [B, L, ...] with masks [B, L]
        what is returned: anything; entries that belong to the same steps are compared

    Raises:
        AssertionError: When called, if something changes.
        TypeError, ValueError: As `audit`.

    Example:
        >>> from maskdata.testing import assert_padding_invariant
        >>> x = {"h": np.ones([2, 3, 1]), "h_mask": np.array([[1, 1, 1], [1, 0, 0]])}
        >>> def mean(x):
        ...     weights = keras.ops.cast(x["h_mask"], "float64")[..., None]
        ...     return keras.ops.sum(x["h"] * weights, axis=1) / keras.ops.sum(weights, axis=1)
        >>> assert_padding_invariant(mean, x)
        >>> try:
        ...     assert_padding_invariant(lambda x: keras.ops.mean(x["h"], axis=1), x)
        ... except AssertionError as error:
        ...     print(str(error).splitlines()[0])
        assert_padding_invariant: padding must not change <lambda>, got 1 problem.
    """
    who = "assert_padding_invariant"
    if not callable(model_or_function):
        must = "model_or_function must be a model, a layer or a function of x"
        refuse(who, must, model_or_function, "Pass something to call.", TypeError)
    name = getattr(model_or_function, "name", getattr(model_or_function, "__name__", "function"))
    model = model_or_function
    if isinstance(model, keras.layers.Layer) and not isinstance(model, keras.Model):
        batch, mask = _with_mask(who, batch, mask), None
        model = _Called(_on_masked(model))
    elif not isinstance(model, keras.Model):
        model = _Called(model)
    report = examine(who, model, batch, mask=mask, strategy=None, tolerance=tolerance)
    if not report.ok:
        number = len(report.problems)
        lines = [
            f"{who}: padding must not change {name}, got {number} problem{'s' * (number > 1)}."
        ]
        raise AssertionError("\n".join([*lines, *(f"* {problem}" for problem in report.problems)]))


class _Called(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """A function as a model, so that it can be audited."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__(name="function", autocast=False)  # it gets its input as it is
        self._function = function

    def call(self, inputs: Any) -> Any:
        return keras.tree.map_structure(ops.convert_to_tensor, self._function(inputs))


def _on_masked(layer: keras.layers.Layer) -> Callable[[Any], Any]:
    attach = AttachMask(name="attach_mask")
    return lambda inputs: layer(attach([inputs["x"], inputs["x_mask"]]))


def _with_mask(who: str, batch: Any, mask: Any) -> dict[str, Any]:
    if mask is None or isinstance(batch, tuple | list | dict):
        given = type(batch).__name__ if mask is not None else "no mask"
        must = "a layer must be given one tensor, and its mask as mask="
        refuse(who, must, given, "Several inputs: pass a function of them.")
    return {"x": batch, "x_mask": mask}
