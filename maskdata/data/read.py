"""Text, or rows in memory -> blocks of rows."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks, slice_rows

Path = str | os.PathLike[str]


def read_text(
    files: Path | Sequence[Path],
    *,
    feature: str = "text",
    block_size: int = 4096,
    compression_type: str | None = None,
) -> tf.data.Dataset:
    r"""Read text files into blocks of lines.

    Stage: text files -> **blocks of strings**.

    The files follow one another in the order given; a block may span two of them. Line ends
    (also `\r\n`) are removed, empty lines are kept: they are rows without steps.

    Args:
        files: A path, or several.
        feature: The name of the feature that holds the lines.
        block_size: Rows in a block; the last one may have fewer.
        compression_type: None, `"GZIP"` or `"ZLIB"`.

    Shapes:
        out: `feature` [N] string, N = `block_size`

    Raises:
        TypeError, ValueError, FileNotFoundError: When called, for a bad argument or a file that
            does not exist.

    Example:
        >>> _ = pathlib.Path("two_lines.txt").write_text("to be\nor not to be\n")
        >>> block = md.read_text("two_lines.txt").get_single_element()
        >>> block["text"].numpy().tolist()
        [b'to be', b'or not to be']
    """
    paths = [files] if isinstance(files, str | os.PathLike) else list(files)
    if not paths:
        _check.refuse("read_text", "files must name at least one file", files, "Pass a path.")
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            _check.refuse("read_text", "files must be paths", path, "Pass str or Path.", TypeError)
        if not tf.io.gfile.exists(os.fspath(path)) or tf.io.gfile.isdir(os.fspath(path)):
            _check.refuse(
                "read_text",
                "each of files must be an existing file",
                os.fspath(path),
                "Check the path; list a directory's files with glob.",
                FileNotFoundError,
            )
    _check.name("read_text", "feature", feature)
    _check.integer("read_text", "block_size", block_size)
    if compression_type is not None:
        _check.one_of("read_text", "compression_type", compression_type, ("GZIP", "ZLIB"))
    lines = tf.data.TextLineDataset([os.fspath(path) for path in paths], compression_type)
    return map_blocks(lines.batch(block_size), lambda block: {feature: block})


def from_rows(features: Mapping[str, Any], *, block_size: int = 4096) -> tf.data.Dataset:
    """Turn rows in memory into blocks.

    Stage: lists, arrays, ragged tensors -> **blocks**.

    Nested lists become ragged, whatever their lengths; the axes of an array stay dense: a list
    of arrays [T, D] becomes one feature [N, (T), D]. Arrays and tensors stay dense as they are.

    Args:
        features: The rows of each feature: a list, an array, a tensor or a ragged tensor. All
            with the same number of rows.
        block_size: Rows in a block; the last one may have fewer.

    Shapes:
        in: N rows for each feature
        out: ragged [B, (T), ...] or dense [B, ...], B = `block_size`

    Raises:
        TypeError, ValueError: When called, for features with different numbers of rows, rows of
            mixed kinds, or rows that are all empty, whose dtype cannot be known.

    Example:
        >>> rows = md.from_rows({"tokens": [["a"], ["b", "c"]], "label": [0, 1]})
        >>> block = rows.get_single_element()
        >>> block["tokens"].to_list(), block["label"].numpy().tolist()
        ([[b'a'], [b'b', b'c']], [0, 1])
    """
    if not isinstance(features, Mapping) or not features:
        _check.refuse(
            "from_rows",
            "features must map names to rows",
            features,
            "Pass {'tokens': ...}.",
            TypeError,
        )
    _check.integer("from_rows", "block_size", block_size)
    tensors = {}
    for name, rows in features.items():
        _check.name("from_rows", "each name", name)
        tensors[name] = _to_tensor(name, rows)
    counts = {
        name: int(tf.shape(t)[0]) if isinstance(t, tf.Tensor) else int(t.nrows())
        for name, t in tensors.items()
    }
    if len(set(counts.values())) > 1:
        _check.refuse(
            "from_rows",
            "all features must have the same number of rows",
            counts,
            "Check your columns.",
        )
    total = next(iter(counts.values()))
    starts = tf.data.Dataset.range(0, total, block_size)
    return map_blocks(
        starts,
        lambda start: {
            name: slice_rows(t, start, start + block_size) for name, t in tensors.items()
        },
    )


def _to_tensor(name: str, rows: Any) -> tf.Tensor | tf.RaggedTensor:
    if isinstance(rows, tf.RaggedTensor):
        return rows
    if isinstance(rows, tf.Tensor | np.ndarray):
        tensor = tf.convert_to_tensor(rows)
    elif not isinstance(rows, list | tuple):
        _check.refuse(
            "from_rows",
            f"{name!r} must be a list, an array or a tensor",
            rows,
            "Convert it.",
            TypeError,
        )
    elif all(isinstance(row, list | tuple) for row in rows) and rows:
        return _ragged(name, rows)
    elif any(isinstance(row, np.ndarray) and row.ndim for row in rows):
        return _ragged(name, [np.asarray(row) for row in rows])
    else:
        tensor = _flat(name, list(rows))
    if tensor.shape.rank == 0:
        _check.refuse("from_rows", f"{name!r} must have rows", rows, "Pass a list.", TypeError)
    return tensor


def _ragged(name: str, rows: Sequence[Any]) -> tf.RaggedTensor:
    """Return rows of lists (ragged at every level) or of arrays (ragged in the first axis)."""
    lengths = [len(row) for row in rows]
    if isinstance(rows[0], np.ndarray):
        try:
            steps = tf.convert_to_tensor(np.concatenate(rows))
        except ValueError:
            shapes = sorted({row.shape[1:] for row in rows})
            _check.refuse(
                "from_rows",
                f"the arrays of {name!r} must agree past their first axis",
                shapes,
                "Reshape them.",
            )
    else:
        steps = _to_tensor(name, [step for row in rows for step in row])
    return tf.RaggedTensor.from_row_lengths(steps, tf.constant(lengths, tf.int64))


def _flat(name: str, values: list[Any]) -> tf.Tensor:
    if not values:
        _check.refuse(
            "from_rows",
            f"{name!r} must have at least one value, or a dtype",
            values,
            "Pass an array or a ragged tensor with a dtype.",
        )
    try:
        return tf.constant(values)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"from_rows: the values of {name!r} must be of one kind, got {values[:5]!r}. "
            "Pass numbers, or strings, or lists of them."
        ) from error
