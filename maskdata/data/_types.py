"""What the data half is made of."""

from typing import Any, Protocol

Element = dict[str, Any]
"""A batch of rows: feature name to `tf.Tensor` [B, ...] or `tf.RaggedTensor` [B, (T), ...]."""

Spec = dict[str, Any]
"""The same for types: feature name to `tf.TensorSpec` or `tf.RaggedTensorSpec`."""


class Transform(Protocol):
    """A value that turns one `tf.data.Dataset` into another."""

    def __call__(self, dataset: Any) -> Any:
        """Return the transformed dataset."""
        ...
