"""Arrow tables, Hugging Face datasets -> blocks of rows."""

from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from maskdata.data import _check
from maskdata.data.arrow._pyarrow import import_pyarrow


def from_arrow(
    rows: Any, *, features: Sequence[str] | None = None, block_size: int = 4096
) -> tf.data.Dataset:
    """Turn an Arrow table, or a Hugging Face dataset, into blocks of rows.

    Stage: a table -> **blocks**.

    As `read_parquet`, for tables in memory or in files that are mapped to it. Of a Hugging Face
    dataset, the rows are those that it has now: selected, shuffled or filtered.

    Args:
        rows: A `pyarrow.Table`, or a `datasets.Dataset`.
        features: The columns to read, all by default.
        block_size: Rows in a block; the last one may have fewer.

    Shapes:
        out: ragged [B, (T), ...] or dense [B, ...], B = `block_size`

    Raises:
        ImportError: When called, without pyarrow: `pip install maskdata[arrow]`.
        TypeError, ValueError: When called, for a bad argument, for columns that are missing or hold
            something else.
        tf.errors.InvalidArgumentError: When read, for nulls, with the numbers of their rows.

    Example:
        >>> import pyarrow as pa
        >>> table = pa.table({"tokens": [[1, 2], [], [3]]})
        >>> md.from_arrow(table).get_single_element()["tokens"].to_list()
        [[1, 2], [], [3]]
    """
    who = "from_arrow"
    pa = import_pyarrow(who)
    from maskdata.data.arrow._blocks import read_tables
    from maskdata.data.arrow._nulls import refuse_nulls
    from maskdata.data.arrow._types import spec_of_schema

    _check.integer(who, "block_size", block_size)
    if features is not None:
        _check.names(who, "features", features)
    if isinstance(rows, pa.Table):
        schema, num_rows = rows.schema, rows.num_rows
    elif hasattr(rows, "with_format") and isinstance(getattr(rows, "num_rows", None), int):
        rows = rows.with_format("arrow")
        schema, num_rows = rows[:0].schema, rows.num_rows
    else:
        remedy = "Pass one split of a dataset; make a table with pyarrow.table."
        must = "rows must be a pyarrow.Table or a datasets.Dataset"
        _check.refuse(who, must, rows, remedy, TypeError)
    spec = spec_of_schema(who, schema, features)

    def tables() -> Iterator[Any]:
        for first_row in range(0, num_rows, block_size):
            if isinstance(rows, pa.Table):
                table = rows.slice(first_row, block_size)
            else:
                table = rows[first_row : first_row + block_size]
            for name in spec:
                refuse_nulls(who, name, table[name], first_row)
            yield table

    return read_tables(tables, spec, block_size, num_rows)
