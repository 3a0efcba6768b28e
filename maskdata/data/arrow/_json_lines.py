"""A file of JSON lines -> Arrow batches; and the line that is none."""

import io
import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.json as pj

from maskdata.data import _check
from maskdata.data.arrow._nulls import refuse_nulls
from maskdata.data.arrow._types import is_list

BYTES_AT_ONCE = 2**24
"""How many bytes Arrow parses at once; a line must not be longer."""

NOTHING = "Empty JSON stream"


def infer_schema(who: str, path: str) -> Any:
    """Return the Arrow schema of the beginning of a file."""
    try:
        found = pj.open_json(path, pj.ReadOptions(block_size=BYTES_AT_ONCE)).schema
    except pa.ArrowInvalid as error:
        must = f"{path} must begin with lines of JSON objects"
        got = _first_bad_line(path, None, None, 0) or str(error)
        _check.refuse(who, must, got, "Repair it; pass features= if it may be empty.")
    return pa.schema([(field.name, _without_dates(field.type)) for field in found])


def _without_dates(kind: Any) -> Any:
    """Return a type with strings in place of the dates that Arrow makes of some strings."""
    if is_list(kind):
        return pa.list_(_without_dates(kind.value_type))
    return pa.string() if pa.types.is_timestamp(kind) else kind


def read_file(who: str, path: str, schema: Any, others: str) -> Iterator[Any]:
    """Yield the rows of a file as Arrow tables.

    Args:
        who: Whom a refusal names.
        path: The file; it is decompressed if its name says so.
        schema: The keys to read, and the Arrow types of their values.
        others: What to do about other keys, "error" or "ignore".
    """
    parsed = pa.schema([(field.name, _without_sizes(field.type)) for field in schema])
    options = pj.ParseOptions(explicit_schema=parsed, unexpected_field_behavior=others)
    num_rows = 0
    try:
        for batch in pj.open_json(path, pj.ReadOptions(block_size=BYTES_AT_ONCE), options):
            table = pa.Table.from_batches([batch]).cast(schema)
            for name in schema.names:
                refuse_nulls(who, name, table[name], num_rows, f" or missing keys in {path}")
            yield table
            num_rows += batch.num_rows
    except pa.ArrowInvalid as error:
        if str(error) != NOTHING:
            must = f"each line of {path} must be an object of {schema.names}"
            got = _first_bad_line(path, options, schema, num_rows) or str(error)
            _check.refuse(who, must, got, "Repair it; or pass features= with other types.")


def _without_sizes(kind: Any) -> Any:
    """Return a type with lists in place of lists of a fixed size, which Arrow's parser does not know."""
    return pa.list_(_without_sizes(kind.value_type)) if hasattr(kind, "value_type") else kind


def _first_bad_line(path: str, options: Any, schema: Any, num_rows: int) -> str | None:
    """Return the number of the first line that cannot be read, after so many rows, and why."""
    with pa.input_stream(path) as stream:
        lines = enumerate(io.BufferedReader(stream), 1)
        rows = ((number, line) for number, line in lines if line.strip())
        for number, line in itertools.islice(rows, num_rows, None):
            try:
                table = pj.read_json(io.BytesIO(line), parse_options=options)
                table.cast(schema or table.schema)
            except pa.ArrowInvalid as reason:
                return f"line {number}: {reason}"
    return None
