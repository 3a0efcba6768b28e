"""A pipeline -> the same pipeline, run by the workers of the tf.data service."""

from dataclasses import dataclass
from typing import Any, final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._dispatcher import ask, host_and_port
from maskdata.data._heard import Wanted, check_streams
from maskdata.data._service_rules import refuse_unsafe
from maskdata.data._streams import label_stream

WHO = "Distribute"

_jobs_of_this_process: set[tuple[str, str, int | None]] = set()


@final
@dataclass(frozen=True)
class Distribute:
    """Let the workers of the tf.data service run all that stands before.

    Stage: blocks or batches -> **the same, from several machines**.

    Each element of a source (a file of `read_text` or `read_tfrecord`, a block of `from_rows`) goes to
    one worker, so that each row comes once in an epoch (`ShardingPolicy.DYNAMIC`): have several
    times as many files as workers. The order depends on who is faster. Best let workers make rows, and batch after this: then batches, their
    number and their order of lengths are those of one machine. Buckets also work on the workers; each
    then has leftovers of its own.

    tf.data loses rows in silence if a worker dies, and waits without end if it does not come back. Here
    both are errors: what a worker sends is numbered, and it must say that it has sent all. Pipelines
    that are known to lose or repeat rows on several workers are refused.

    Args:
        service: The address of the dispatcher, such as `"grpc://10.0.0.1:5050"`. Workers and dispatcher
            are started by `python -m maskdata.data.serve`.
        num_rows: The rows that must arrive in each epoch. If None, only what a worker had taken before
            it sent anything at all can be lost unseen. Fillers and padding do not count.
        timeout_s: How long to wait, in seconds: for the dispatcher, when applied; while reading, until
            any worker sends something. Longer than the workers need for their first element.
        job_name: Other processes that read with the same name share one job: each element goes to
            one of them, and nobody can tell what is missing. By default a new job for every pass.
        num_consumers: For coordinated reads, with a `job_name`: so many processes read in rounds, and in
            each round all of them get the same padded length. Each batch of the workers is divided among
            them: `bucket_batch_sizes` count the rows of all together. The dataset must be without end.
        consumer_index: Which of these this process is, from 0.

    Shapes:
        in, out: the same elements; for coordinated reads dense [B, ...], out [B / `num_consumers`, ...]

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a pipeline that workers
            would run wrongly, and for a `job_name` that this process has used.
        TimeoutError: When applied, if no dispatcher answers.
        tf.errors.InvalidArgumentError: When read, if no worker answers, and if rows were lost.

    Example:
        >>> dispatcher = tf.data.experimental.service.DispatchServer()
        >>> address = dispatcher.target.removeprefix("grpc://")
        >>> worker = tf.data.experimental.service.WorkerServer(
        ...     tf.data.experimental.service.WorkerConfig(dispatcher_address=address))
        >>> rows = md.from_rows({"tokens": [["a"], ["b", "c"]]}).apply(md.Distribute(dispatcher.target))
        >>> rows.apply(md.PaddedBatch(2)).get_single_element()["tokens"].numpy().tolist()
        [[b'a', b''], [b'b', b'c']]

    Source: `tf.data.experimental.service.distribute`.
    """

    service: str
    num_rows: int | None = None
    timeout_s: float = 300
    job_name: str | None = None
    num_consumers: int | None = None
    consumer_index: int | None = None

    def __post_init__(self) -> None:
        _check.string(WHO, "service", self.service)
        host_and_port(WHO, self.service)
        if self.num_rows is not None:
            _check.integer(WHO, "num_rows", self.num_rows, minimum=0)
        if isinstance(self.timeout_s, bool) or not isinstance(self.timeout_s, int | float):
            _check.refuse(
                WHO, "timeout_s must be seconds", self.timeout_s, "Pass a number.", TypeError
            )
        if not self.timeout_s > 0:
            _check.refuse(WHO, "timeout_s must be above 0", self.timeout_s, "Pass seconds.")
        if self.job_name is not None:
            _check.string(WHO, "job_name", self.job_name)
            if self.num_rows is not None:
                remedy = "Each consumer gets some of the rows: leave out one of the two."
                _check.refuse(WHO, "num_rows must be None with a job_name", self.num_rows, remedy)
        self._check_consumers()

    def _check_consumers(self) -> None:
        if self.num_consumers is None and self.consumer_index is None:
            return
        given = (self.job_name, self.num_consumers, self.consumer_index)
        if None in given:
            _check.refuse(
                WHO,
                "job_name, num_consumers and consumer_index must be given together",
                given,
                "All consumers pass the same job_name and num_consumers.",
            )
        _check.integer(WHO, "num_consumers", self.num_consumers)
        _check.integer(WHO, "consumer_index", self.consumer_index, minimum=0)
        assert self.consumer_index is not None
        assert self.num_consumers is not None
        if self.consumer_index >= self.num_consumers:
            must = f"consumer_index must be less than num_consumers={self.num_consumers}"
            _check.refuse(WHO, must, self.consumer_index, "Count from 0.")

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset, run by the workers."""
        _check.dataset(WHO, dataset)
        is_coordinated = self.num_consumers is not None
        self._check_length(dataset, is_coordinated=is_coordinated)
        refuse_unsafe(WHO, dataset, is_endless=is_coordinated)
        if self.num_consumers is not None:
            dataset = divide_batches(dataset, self.num_consumers)
        self._begin_job()
        labelled = label_stream(dataset, has_end=not is_coordinated)
        wanted = Wanted(
            WHO,
            self.timeout_s,
            self.num_rows,
            every=self.num_consumers or 1,
            is_shared=self.job_name is not None and not is_coordinated,
        )
        from_workers = ask(WHO, self.service, lambda: self._register(labelled), self.timeout_s)
        return check_streams(from_workers, wanted)

    def _check_length(self, dataset: tf.data.Dataset, *, is_coordinated: bool) -> None:
        is_endless = int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY
        if is_endless and not is_coordinated:
            remedy = "Put repeat() after Distribute: then each epoch is known to be whole."
            _check.refuse(WHO, "the dataset must have an end", dataset, remedy)
        if is_coordinated and not is_endless:
            must = "the dataset must have no end for coordinated reads"
            _check.refuse(WHO, must, dataset, "Put repeat() before Distribute, as its last stage.")

    def _begin_job(self) -> None:
        """Refuse a job that has a reader in this process: it may be read to its end already."""
        if self.job_name is None:
            return
        job = (self.service, self.job_name, self.consumer_index)
        if job in _jobs_of_this_process:
            remedy = "A second reader gets what the first left over, or nothing: pass a new name."
            _check.refuse(WHO, "job_name must be new in this process", self.job_name, remedy)
        _jobs_of_this_process.add(job)

    def _register(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.apply(
            tf.data.experimental.service.distribute(
                tf.data.experimental.service.ShardingPolicy.DYNAMIC,
                self.service,
                job_name=self.job_name,
                consumer_index=self.consumer_index,
                num_consumers=self.num_consumers,
            )
        )


def divide_batches(dataset: tf.data.Dataset, num_consumers: int) -> tf.data.Dataset:
    """Return each batch as so many batches of the same padded length, one after the other."""
    for spec in tf.nest.flatten(dataset.element_spec):
        if not isinstance(spec, tf.TensorSpec) or not spec.shape.rank:
            remedy = "Apply ToDense: the batch of all consumers is padded together, then divided."
            _check.refuse(WHO, "batches must be dense for coordinated reads", spec, remedy)
        if (spec.shape[0] or 0) % num_consumers:
            must = f"the rows of each batch must divide by num_consumers={num_consumers}"
            _check.refuse(WHO, must, spec, f"Put FillRows({num_consumers}) after ToDense.")

    is_tuple = isinstance(dataset.element_spec, tuple)

    def divide(*batch: Any) -> Any:
        batches = tf.nest.map_structure(lambda feature: _divide(feature, num_consumers), batch)
        return batches if is_tuple else batches[0]

    return dataset.map(tf.autograph.experimental.do_not_convert(divide)).unbatch()


def _divide(feature: tf.Tensor, number: int) -> tf.Tensor:
    """Return [number, B / number, ...]."""
    num_rows = tf.shape(feature)[0]
    message = f"{WHO}: the rows of each batch must divide by num_consumers={number}. Put FillRows({number}) after ToDense."
    with tf.control_dependencies([tf.debugging.assert_equal(num_rows % number, 0, message)]):
        shape = tf.concat([[number, num_rows // number], tf.shape(feature)[1:]], axis=0)
    rows = feature.shape[0]
    static = [number, None if rows is None else rows // number, *feature.shape[1:]]
    return tf.ensure_shape(tf.reshape(feature, shape), static)
