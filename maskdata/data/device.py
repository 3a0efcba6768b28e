"""Batches -> batches that wait on the device."""

from dataclasses import dataclass
from typing import Any, final

import tensorflow as tf

from maskdata.data import _check


@final
@dataclass(frozen=True)
class PrefetchToDevice:
    """Copy the next batches to a device while the model works on this one.

    Stage: batches -> **batches on the device**. Always the last stage.

    Works on whatever the elements are: dicts, or the tuples that `ToKeras` gives. The dataset keeps
    its number of batches, which tf.data's own `prefetch_to_device` forgets; without it Keras runs one
    optimizer step too many in each epoch. Not for several replicas: `tf.distribute` copies the batches
    to its devices by itself. An iterator over batches on another device cannot be checkpointed.

    Args:
        device: The device, such as `"/GPU:0"`. By default the first GPU; without one, batches are
            prefetched on the host.
        buffer_size: Batches to hold ready; chosen by tf.data if None.

    Shapes:
        in, out: the same dense elements

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a device that
            does not exist, for ragged features (which would stay on the host in silence), under
            a strategy with several replicas, and if applied twice.

    Example:
        >>> batches = md.from_rows({"n": np.arange(6)}, block_size=2)
        >>> waiting = batches.apply(md.PrefetchToDevice("/CPU:0"))
        >>> int(waiting.cardinality()), [batch["n"].numpy().tolist() for batch in waiting]
        (3, [[0, 1], [2, 3], [4, 5]])

    Source: `tf.data.experimental.prefetch_to_device` (tensorflow#56508: the cardinality is lost).
    """

    device: str | None = None
    buffer_size: int | None = None

    def __post_init__(self) -> None:
        if self.device is not None:
            _check.string("PrefetchToDevice", "device", self.device)
        if self.buffer_size is not None:
            _check.integer("PrefetchToDevice", "buffer_size", self.buffer_size)

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset, waiting on the device."""
        _check.dataset("PrefetchToDevice", dataset)
        for spec in tf.nest.flatten(dataset.element_spec):
            if not isinstance(spec, tf.TensorSpec):
                _check.refuse(
                    "PrefetchToDevice",
                    "elements must be dense",
                    spec,
                    "Ragged tensors would stay on the host: apply ToDense first.",
                )
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            _check.refuse(
                "PrefetchToDevice",
                "must be used with one replica",
                replicas,
                "Leave it out: tf.distribute prefetches to its devices by itself.",
            )
        device = self.device or _first_gpu()
        if device is None:
            return dataset.prefetch(self.buffer_size or tf.data.AUTOTUNE)
        return _OnDevice(dataset, _existing_device(device), self.buffer_size)


def _first_gpu() -> str | None:
    return next((gpu.name for gpu in tf.config.list_logical_devices("GPU")), None)


def _existing_device(device: str) -> str:
    """Return the full name of `device`; refuse one that is not there."""
    available = [found.name for found in tf.config.list_logical_devices()]
    wanted = device.removeprefix("/").removeprefix("device:").upper()
    for name in available:
        if device == name or name.endswith(f"/device:{wanted}"):
            return str(name)
    raise ValueError(
        f"PrefetchToDevice: device must be one of {available}, got {device!r}. Check tf.config."
    )


@final
class _OnDevice(tf.data.Dataset):  # type: ignore[misc]
    """What tf.data's `prefetch_to_device` gives, with the cardinality that it forgets."""

    def __init__(self, batches: tf.data.Dataset, device: str, buffer_size: int | None) -> None:
        self.on_device = device
        self._cardinality = batches.cardinality()
        self._waiting = batches.apply(tf.data.experimental.prefetch_to_device(device, buffer_size))
        super().__init__(tf.data.experimental.to_variant(self._waiting))

    def _inputs(self) -> list[Any]:
        return [self._waiting]

    @property
    def element_spec(self) -> Any:
        return self._waiting.element_spec

    def cardinality(self, name: str | None = None) -> tf.Tensor:
        return self._cardinality
