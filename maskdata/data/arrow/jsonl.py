"""Files of JSON lines -> blocks of rows."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._sources import paths_of_files, specs_of_blocks
from maskdata.data.arrow._pyarrow import import_pyarrow

PathLike = str | os.PathLike[str]


def read_jsonl(
    files: PathLike | Sequence[PathLike],
    *,
    features: Mapping[str, Any] | None = None,
    block_size: int = 4096,
) -> tf.data.Dataset:
    r"""Read files with a JSON object in each line into blocks of rows.

    Stage: files of JSON lines -> **blocks**.

    Lists become ragged, lists of lists nested ragged. Without `features`, names and types are those of
    the first 16 MiB of the first file: whole numbers are int64, all others float64, and
    dates are strings. What comes later must agree, or is an error that names the line. Blank lines are
    no rows. The files follow one another in the order given; names that end in `.gz` or `.bz2` are
    decompressed. Arrow parses them, about three times as fast as Python's `json`.

    Reading calls Python: such a dataset cannot be checkpointed, nor run on the tf.data service.
    `write_tfrecord` makes one that can.

    Args:
        files: A path, or several.
        features: What to read, as the specs of a block; other keys are left out. By default all.
        block_size: Rows in a block; the last one may have fewer.

    Shapes:
        out: ragged [B, (T), ...] or dense [B, ...], B = `block_size`

    Raises:
        ImportError: When called, without pyarrow: `pip install maskdata[arrow]`.
        TypeError, ValueError, FileNotFoundError: When called, for a bad argument, a file that is
            missing, or types that cannot be known or are no features.
        tf.errors.InvalidArgumentError: When read, for a line that is no such object, for a key that
            is missing and for nulls, with the number of the line or row.

    Example:
        >>> _ = pathlib.Path("two.jsonl").write_text(
        ...     '{"tokens": ["to", "be"], "label": 0}\n{"tokens": [], "label": 1}\n'
        ... )
        >>> block = md.read_jsonl("two.jsonl").get_single_element()
        >>> block["tokens"].to_list(), block["label"].numpy().tolist()
        ([[b'to', b'be'], []], [0, 1])
    """
    who = "read_jsonl"
    pa = import_pyarrow(who)
    from maskdata.data.arrow import _json_lines, _types
    from maskdata.data.arrow._blocks import read_tables

    _check.integer(who, "block_size", block_size)
    paths = paths_of_files(who, "files", files)
    if features is None:
        schema, others = _json_lines.infer_schema(who, paths[0]), "error"
    else:
        specs = specs_of_blocks(who, features)
        types = [(name, _types.type_of_spec(who, name, spec)) for name, spec in specs.items()]
        schema, others = pa.schema(types), "ignore"
    spec = _types.spec_of_schema(who, schema)

    def tables() -> Iterator[Any]:
        for path in paths:
            yield from _json_lines.read_file(who, path, schema, others)

    return read_tables(tables, spec, block_size)
