"""Parquet files -> blocks of rows."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._sources import paths_of_files
from maskdata.data._types import Spec
from maskdata.data.arrow._pyarrow import import_pyarrow

PathLike = str | os.PathLike[str]


def read_parquet(
    files: PathLike | Sequence[PathLike],
    *,
    features: Sequence[str] | None = None,
    block_size: int = 4096,
) -> tf.data.Dataset:
    """Read Parquet files into blocks of rows.

    Stage: Parquet files -> **blocks**.

    Lists become ragged, lists of lists nested ragged, lists of a fixed size dense; no step is taken for
    a single row, but strings become Python's on the way. The files follow one another in the order
    given, their rows are read some thousand at a time. The number of blocks is known.

    Reading calls Python: such a dataset cannot be checkpointed, nor run on the tf.data service.
    `write_tfrecord` makes one that can.

    Args:
        files: A path, or several; `features` must have the same types in all.
        features: The columns to read, all by default. The others are not read from the disk.
        block_size: Rows in a block; the last one may have fewer.

    Shapes:
        out: ragged [B, (T), ...] or dense [B, ...], B = `block_size`

    Raises:
        ImportError: When called, without pyarrow: `pip install maskdata[arrow]`.
        TypeError, ValueError, FileNotFoundError: When called, for a bad argument, a file that is
            missing, columns that are missing, differ between files, or hold something else.
        tf.errors.InvalidArgumentError: When read, for nulls, with the numbers of their rows.

    Example:
        >>> import pyarrow as pa, pyarrow.parquet
        >>> table = pa.table({"tokens": [["to", "be"], [], ["or"]], "label": [0, 1, 2]})
        >>> pa.parquet.write_table(table, "three_rows.parquet")
        >>> block = md.read_parquet("three_rows.parquet").get_single_element()
        >>> block["tokens"].to_list(), block["label"].numpy().tolist()
        ([[b'to', b'be'], [], [b'or']], [0, 1, 2])
    """
    who = "read_parquet"
    pa = import_pyarrow(who)
    import pyarrow.parquet as pq

    from maskdata.data.arrow._blocks import read_tables
    from maskdata.data.arrow._nulls import refuse_nulls
    from maskdata.data.arrow._types import spec_of_schema

    _check.integer(who, "block_size", block_size)
    if features is not None:
        _check.names(who, "features", features)
    paths = paths_of_files(who, "files", files)
    spec: Spec = {}
    num_rows = 0
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                found = spec_of_schema(who, file.schema_arrow, features)
                num_rows += file.metadata.num_rows
        except pa.ArrowInvalid as error:
            must = f"{path} must be a Parquet file"
            _check.refuse(who, must, str(error), "Check what wrote it.")
        if spec and found != spec:
            must = f"{path} must have the columns of {paths[0]}, {spec}"
            _check.refuse(who, must, found, "Read files of other types apart.", TypeError)
        spec = found

    def tables() -> Iterator[Any]:
        for path in paths:
            first_row = 0
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(block_size, columns=list(spec)):
                    table = pa.Table.from_batches([batch])
                    for name in spec:
                        refuse_nulls(who, name, table[name], first_row, f" in {path}")
                    first_row += table.num_rows
                    yield table

    return read_tables(tables, spec, block_size, num_rows)
