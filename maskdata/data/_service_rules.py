"""The graph of a pipeline -> what would go wrong on the tf.data service, and what to do instead.

The workers share the elements of each source: a worker runs every stage on its own part of them.
What stands inside of a function (the files of an `interleave`) is run whole by one worker.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._fingerprint import PYTHON_OPS, RESOURCE, graph_of, node_changes_each_pass

END_FLAG = 2**62
"""Sources with so many elements are endless: one element of them for each worker is meant."""


def refuse_unsafe(who: str, dataset: tf.data.Dataset, *, is_endless: bool) -> None:
    """Refuse a pipeline that is known to lose, repeat or mix up rows on several workers."""
    graph = Graph(graph_of(dataset))
    for rules, nodes in ((ANYWHERE, graph.all_nodes), (STAGES, graph.stages)):
        for node in nodes:
            for rule in rules:
                holds_here = not (is_endless and rule.only_with_end)
                if holds_here and node.op in rule.ops and rule.applies(graph, node):
                    _check.refuse(who, rule.must, node.op, rule.remedy)


class Graph:
    """The graph of a dataset: its nodes, and those through which rows come.

    Attributes:
        all_nodes: Those of functions too.
        stages: The datasets that rows flow through; not the datasets that functions capture.
    """

    def __init__(self, graph: Any) -> None:
        self._by_name = {node.name: node for node in graph.node}
        bodies = [function.node_def for function in graph.library.function]
        self.all_nodes = [*graph.node, *(node for body in bodies for node in body)]
        (result,) = (node for node in graph.node if node.op == "_Retval")
        self.stages = list(self.upstream(result))

    def node(self, reference: str) -> Any:
        """Return the node of an input."""
        return self._by_name[reference.split(":")[0]]

    def inputs(self, stage: Any) -> list[Any]:
        """Return the datasets that a stage reads. All but joins read one: others are captured."""
        references = stage.input if stage.op in JOINS else stage.input[:1]
        nodes = map(self.node, references)
        return [node for node in nodes if "Dataset" in node.op]

    def upstream(self, stage: Any) -> Iterator[Any]:
        """Yield all stages before this one."""
        for found in self.inputs(stage):
            yield found
            yield from self.upstream(found)

    def constant(self, stage: Any, place: int) -> Any:
        """Return the value of an input, or None if it is computed."""
        node = self.node(stage.input[place])
        return tf.make_ndarray(node.attr["value"].tensor)[()] if node.op == "Const" else None


class Rule(NamedTuple):
    """What must not be in a graph.

    Attributes:
        ops: The kinds of nodes that this is about.
        must: What must hold.
        remedy: What to do instead.
        applies: Which of these nodes.
        only_with_end: Whether nothing is wrong with it if the dataset has no end.
    """

    ops: Collection[str]
    must: str
    remedy: str
    applies: Callable[[Graph, Any], bool] = lambda graph, node: True
    only_with_end: bool = False


JOINS = {"ZipDataset", "ConcatenateDataset", "DirectedInterleaveDataset"}
MIXERS = {"ShuffleDataset", "ShuffleDatasetV2", "ShuffleDatasetV3", "RepeatDataset"}
RANDOM = "RandomUniform RandomUniformInt RandomStandardNormal TruncatedNormal RandomShuffle \
RandomGamma RandomPoisson RandomPoissonV2 Multinomial ParameterizedTruncatedNormal \
StatefulUniform StatefulUniformInt StatefulUniformFullInt StatefulStandardNormalV2 \
StatefulTruncatedNormal StatefulRandomBinomial RngReadAndSkip SampleDistortedBoundingBoxV2"
SEEDS = {"RandomDatasetV2": 0, "ShuffleDatasetV3": 2}
"""Where among its inputs a source of order has its two seeds."""
MAKE_THEIR_OWN = {"RandomDatasetV2", "ShuffleDatasetV3", "CacheDatasetV2"}
"""Their counters and memories are handles in the graph, which each worker makes anew."""


def _is_captured_handle(graph: Graph, node: Any) -> bool:
    """Tell whether a function uses a resource that the graph does not make."""
    is_handle = node.attr["dtype"].type == RESOURCE
    return is_handle and any(
        stage.op not in MAKE_THEIR_OWN and node.name in {name.split(":")[0] for name in stage.input}
        for stage in graph.all_nodes
    )


def _same_every_pass(graph: Graph, node: Any) -> bool:
    first = SEEDS[node.op]
    has_seed = any(graph.constant(node, place) != 0 for place in (first, first + 1))
    return has_seed and node_changes_each_pass(node)


def _pairs_data(graph: Graph, node: Any) -> bool:
    """Tell whether several inputs have rows; what gives a seed to each element has none."""
    return sum(_has_data(graph, each) for each in graph.inputs(node)) > 1


def _has_data(graph: Graph, stage: Any) -> bool:
    ops = {found.op for found in (stage, *graph.upstream(stage)) if not graph.inputs(found)}
    is_repeated = "RepeatDataset" in {stage.op, *(found.op for found in graph.upstream(stage))}
    return bool(
        ops - ({"RandomDatasetV2", "TensorDataset"} if is_repeated else {"RandomDatasetV2"})
    )


def _is_no_end_flag(graph: Graph, node: Any) -> bool:
    (source,) = graph.inputs(node)
    return not (source.op == "RangeDataset" and graph.constant(source, 1) == END_FLAG)


def _mixed_before(graph: Graph, node: Any) -> bool:
    return any(found.op in MIXERS for found in graph.upstream(node))


ANYWHERE = (
    Rule(
        PYTHON_OPS,
        "a pipeline must be TensorFlow only: workers have no Python functions",
        "Use ops in place of py_function and numpy_function, files in place of from_generator.",
    ),
    Rule(
        RANDOM.split(),
        "random numbers must come from a seed: other ops give others in each worker and pass",
        "Use tf.random.stateless_*, with a seed made of the row itself.",
    ),
    Rule(
        {"Const"},
        "tables must be part of the graph: workers cannot reach a resource of this process",
        "Use Vocabulary with Lookup, or a StaticHashTable, in place of a DenseHashTable.",
        _is_captured_handle,
    ),
    Rule(
        SEEDS,
        "the order must not change with each pass: the workers begin anew, and all epochs have the first one's",
        "Put Shuffle after Distribute; or fix its order, with epoch= or reshuffle_each_iteration=False.",
        _same_every_pass,
        only_with_end=True,
    ),
)
"""Rules for every node, in functions too."""

STAGES = (
    Rule(
        {"ZipDataset"},
        "sources must not be zipped: each is shared out on its own, and the pairs are wrong",
        "Zip the features in memory with from_rows; numbers (enumerate) must be in the data.",
        _pairs_data,
    ),
    Rule(
        {"GroupByWindowDataset"},
        "shuffle and repeat must not stand before bucket_by_sequence_length and group_by_window: every worker would read all rows",
        "Use BucketBySequenceLength, or shuffle after it.",
        _mixed_before,
    ),
    Rule(
        {"TakeDataset", "SkipDataset", "TakeWhileDataset", "ShardDataset", "UniqueDataset"},
        "take, skip, take_while, shard and unique must not be used: each worker does it to its own part",
        "Do it after Distribute, or choose among the files or rows.",
        lambda graph, node: node.op != "TakeDataset" or _is_no_end_flag(graph, node),
    ),
    Rule(
        {"BatchDatasetV2", "ParallelBatchDataset", "PaddedBatchDatasetV2"},
        "drop_remainder must be False: rows would be dropped by every worker",
        "Batch after Distribute, or keep the last batch.",
        lambda graph, node: bool(graph.constant(node, -1)),
    ),
    Rule(
        {"AssertCardinalityDataset"},
        "the number of elements must not be asserted: each worker has a part of them",
        "Put CountBatches and what batches after Distribute; BatchPlan needs no workers.",
        lambda graph, node: (graph.constant(node, 1) or 0) >= 0,
    ),
    Rule(
        {"CacheDataset", "CacheDatasetV2"},
        "a cache must not be a file: every worker reads all of it once it is full",
        "Use write_tfrecord and read_tfrecord; or cache() after Distribute.",
        lambda graph, node: graph.constant(node, 1) != b"",
    ),
    Rule(
        {"CSVDataset", "CSVDatasetV2", "GroupByReducerDataset"},
        "each source must be one that workers can share",
        "Use read_text and tf.strings.split, or write_tfrecord and read_tfrecord.",
    ),
)
"""Rules for what rows flow through."""
