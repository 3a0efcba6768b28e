"""Where the batches come from, and how to come back to one of them."""

import functools
import hashlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._fingerprint import (
    calls_python,
    changes_each_pass,
    files_of,
    fingerprint,
    graph_of,
)
from maskdata.data.batch_plan import BatchPlan
from maskdata.data.count import CountBatches

Prepare = Callable[[tf.data.Dataset], tf.data.Dataset]
ITERATOR = "iterator"


class Source(Protocol):
    """Batches, epoch after epoch."""

    num_batches: int

    def identity(self, epoch: int) -> dict[str, Any]:
        """Return what must be the same for the batches to be the same, to write down as JSON."""

    def first_batch(self, epoch: int) -> Any:
        """Return a batch to make variables with."""

    def batches(self, epoch: int, step: int, end: int, saved: Path | None) -> tf.data.Dataset:
        """Return the batches from this one on, until epoch `end`, for `fit` to read."""

    def save(self, path: Path) -> None:
        """Write what is needed to go on after the last batch that was read."""


class Planned:
    """The batches of a `BatchPlan`: epoch and step are all there is to save."""

    def __init__(self, who: str, plan: BatchPlan, prepare: Prepare) -> None:
        self._who, self._plan, self._prepare = who, plan, prepare
        self.num_batches = plan.num_batches
        # Its batches would bring the data along: `prepare` is tried, and told apart, without any.
        nothing = tf.data.experimental.to_variant(tf.data.Dataset.range(0))
        empty = tf.data.experimental.from_variant(nothing, plan.stream().element_spec)
        known = tf.data.experimental.assert_cardinality(self.num_batches)
        self._prepared = prepare(empty.apply(known))
        prepared = int(self._prepared.cardinality())
        if prepared != self.num_batches:
            must = f"prepare must keep the {self.num_batches} batches of the plan"
            remedy = "Leave rows out, or split them, before the plan is made."
            _check.refuse(who, must, prepared, remedy)

    def identity(self, epoch: int) -> dict[str, Any]:
        return self._identity

    @functools.cached_property
    def _identity(self) -> dict[str, Any]:
        hashes = self._plan.state(0, 0)
        pipeline = fingerprint(written_down(self._who, self._prepared))
        return {"data": hashes["data"], "order": hashes["order"], "prepare": pipeline}

    def first_batch(self, epoch: int) -> Any:
        return next(iter(self._prepare(self._plan.stream(epoch))))

    def batches(self, epoch: int, step: int, end: int, saved: Path | None) -> tf.data.Dataset:
        return self._prepare(self._plan.stream(epoch, step))

    def save(self, path: Path) -> None:
        """Nothing: the position is in the manifest."""


class Streamed:
    """The batches of a dataset for each epoch: the state of the iterator is saved."""

    def __init__(
        self, who: str, dataset_of: Callable[[int], tf.data.Dataset], num_batches: int | None
    ) -> None:
        self._who, self._dataset_of = who, dataset_of
        self._hash_file = functools.cache(hash_file)
        self.num_batches = num_batches or int(CountBatches()(self._dataset(0)).cardinality())

    @functools.lru_cache(maxsize=1)  # noqa: B019 - a source lives as long as the training
    def identity(self, epoch: int) -> dict[str, Any]:
        graph = written_down(self._who, self._epoch(epoch))
        if changes_each_pass(graph):
            must = "the order must not depend on how often the dataset was read"
            remedy = "Pass a function of the epoch, with Shuffle(..., epoch=epoch) in it."
            _check.refuse(self._who, must, self._epoch(epoch), remedy)
        files = [self._hash_file(name) for name in files_of(graph)]
        return {"pipeline": fingerprint(graph), "files": files}

    def first_batch(self, epoch: int) -> Any:
        return next(iter(self._epoch(epoch)))

    def batches(self, epoch: int, step: int, end: int, saved: Path | None) -> tf.data.Dataset:
        epochs = range(epoch, end)
        self._live = OneIteratorAnEpoch(self._epoch, epochs, self.num_batches - step)
        self._check_that_it_can_be_saved()
        if step:
            assert saved is not None
            tf.train.Checkpoint(iterator=self._live.iterator).read(str(saved / ITERATOR))
        return self._live

    def _check_that_it_can_be_saved(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            try:
                self.save(Path(directory))
            except tf.errors.OpError as error:
                must = "tf.data must be able to save where it is in the data"
                remedy = "Take random numbers from stateless ops; leave out Distribute and PrefetchToDevice."
                _check.refuse(self._who, must, error.message, remedy)

    def save(self, path: Path) -> None:
        tf.train.Checkpoint(iterator=self._live.iterator).write(str(path / ITERATOR))

    def _epoch(self, epoch: int) -> tf.data.Dataset:
        known = tf.data.experimental.assert_cardinality(self.num_batches)
        return self._dataset(epoch).apply(known)

    @functools.lru_cache(maxsize=2)  # noqa: B019 - a source lives as long as the training
    def _dataset(self, epoch: int) -> tf.data.Dataset:
        with warnings.catch_warnings():
            # Here it is known, or about to be counted.
            warnings.filterwarnings("ignore", message="ToKeras: the number of batches is not known")
            return self._dataset_of(epoch)


class OneIteratorAnEpoch(tf.data.Dataset):  # type: ignore[misc]
    """What `fit` reads: each time that it asks for an iterator, it gets that of the next epoch.

    Keras asks once for each epoch, and once more at the end, if the number of steps is also the
    cardinality.
    """

    def __init__(
        self, dataset_of: Callable[[int], tf.data.Dataset], epochs: range, num_batches: int
    ) -> None:
        self._dataset_of, self._num_batches = dataset_of, num_batches
        self._first = dataset_of(epochs[0])
        self._later = iter(epochs[1:])
        self._is_asked = False
        self.iterator = iter(self._first)
        super().__init__(tf.data.experimental.to_variant(self._first))

    def __iter__(self) -> Iterator[Any]:
        if self._is_asked and (epoch := next(self._later, None)) is not None:
            self.iterator = iter(self._dataset_of(epoch))
        self._is_asked = True
        return self.iterator  # type: ignore[no-any-return]

    def cardinality(self) -> tf.Tensor:
        return tf.constant(self._num_batches, tf.int64)

    @property
    def element_spec(self) -> Any:
        return self._first.element_spec

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._first]


def written_down(who: str, dataset: tf.data.Dataset) -> Any:
    """Return the graph of a dataset; refuse one whose changes could not be seen."""
    try:
        graph = graph_of(dataset)
    except tf.errors.OpError as error:
        remedy = "Leave out PrefetchToDevice; let a BatchPlan hold rows of more than 2 GB."
        _check.refuse(who, "it must be possible to write the pipeline down", error.message, remedy)
    if calls_python(graph):
        must = "the pipeline must not call Python functions, whose changes cannot be seen"
        remedy = "Write the rows with write_tfrecord, or let a BatchPlan hold them."
        _check.refuse(who, must, dataset, remedy)
    return graph


def hash_file(name: str) -> dict[str, Any]:
    """Return what tells a file from one that was changed."""
    with tf.io.gfile.GFile(name, "rb") as file:
        digest = hashlib.sha256()
        while part := file.read(2**20):
            digest.update(part)
    return {"name": name, "bytes": tf.io.gfile.stat(name).length, "sha256": digest.hexdigest()}
