"""A dataset -> a hash of what it computes, and the input files that it names."""

import hashlib
from typing import Any

import tensorflow as tf

NAMES_ONLY = {"metadata", "shared_name", "container", "_class", "experimental_debug_info"}
STRING = tf.string.as_datatype_enum
FILE_SOURCES = {
    "TensorSliceDataset",
    "TextLineDataset",
    "TFRecordDatasetV2",
    "FixedLengthRecordDatasetV2",
}
PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
RESOURCE = tf.resource.as_datatype_enum
IGNORE_STATE = 1


def graph_of(dataset: tf.data.Dataset) -> Any:
    """Return the GraphDef of a dataset, its lookup tables included."""
    serialized = tf.raw_ops.DatasetToGraphV2(
        input_dataset=tf.data.experimental.to_variant(dataset), external_state_policy=IGNORE_STATE
    )
    return tf.compat.v1.GraphDef.FromString(serialized.numpy())


def calls_python(graph: Any) -> bool:
    """Tell whether the graph calls Python functions, which it does not hold."""
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    return any(node.op in PYTHON_OPS for nodes in bodies for node in nodes)


def changes_each_pass(graph: Any) -> bool:
    """Tell whether passes over the dataset are counted, so that each has an order of its own."""
    return any(map(node_changes_each_pass, graph.node))


def node_changes_each_pass(node: Any) -> bool:
    """Tell whether a node is a source of order that counts its passes."""
    flags = ("reshuffle_each_iteration", "rerandomize_each_iteration")
    return any(node.attr[flag].b for flag in flags if flag in node.attr)


def files_of(graph: Any) -> list[str]:
    """Return the files that the sources of the graph name, in order, each once."""
    readers = [node for node in graph.node if node.op in FILE_SOURCES]
    sources = {name.split(":")[0] for node in readers for name in node.input}
    values = [
        tf.make_ndarray(node.attr["value"].tensor).ravel().tolist()
        for node in graph.node
        if node.name in sources and node.op == "Const" and node.attr["dtype"].type == STRING
    ]
    names = dict.fromkeys(value.decode(errors="replace") for some in values for value in some)
    return [name for name in names if name and tf.io.gfile.exists(name)]


def fingerprint(graph: Any) -> str:
    """Return a hash that does not depend on generated names, the same in every process.

    `tf.data.Dataset.fingerprint` is another one in every process once functions are involved.
    """
    functions = {function.signature.name: function for function in graph.library.function}
    hashes: dict[str, str] = {}

    def of_function(name: str) -> str:
        if name not in hashes:
            function = functions[name]
            inputs = {
                arg.name: f"argument {i}" for i, arg in enumerate(function.signature.input_arg)
            }
            of_node = _node_hasher(function.node_def, inputs, of_function)
            outputs = [of_node(function.ret[arg.name]) for arg in function.signature.output_arg]
            effects = sorted(of_node(node) for node in function.control_ret.values())
            hashes[name] = _hash(*outputs, *effects)
        return hashes[name]

    of_node = _node_hasher(graph.node, {}, of_function)
    returned = [node.name for node in graph.node if node.op == "_Retval"]
    return _hash(*(of_node(name) for name in returned))


def _node_hasher(nodes: Any, known: dict[str, str], of_function: Any) -> Any:
    by_name = {node.name: node for node in nodes}
    done = dict(known)

    def of_node(reference: str) -> str:
        """Return the hash of a reference such as `^node`, `node` or `node:output:0`."""
        name, _, output = reference.removeprefix("^").partition(":")
        if name not in done:
            node = by_name[name]
            is_handle = node.op == "Const" and node.attr["dtype"].type == RESOURCE
            attributes = [
                f"{key}={_of_attribute(value, of_function)}"
                for key, value in sorted(node.attr.items())
                if key not in NAMES_ONLY and not is_handle
            ]
            done[name] = _hash(node.op, *attributes, *map(of_node, node.input))
        return f"{done[name]}:{output}"

    return of_node


def _of_attribute(value: Any, of_function: Any) -> str:
    functions = [value.func] if value.HasField("func") else list(value.list.func)
    if functions:
        return _hash(*(of_function(function.name) for function in functions))
    return _hash(value.SerializeToString(deterministic=True))


def _hash(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part if isinstance(part, bytes) else part.encode()).digest())
    return digest.hexdigest()
