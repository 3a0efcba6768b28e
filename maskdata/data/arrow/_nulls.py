"""Nulls are no values: a column that has some is refused, with their rows."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from maskdata.data import _check
from maskdata.data.arrow._types import is_list, is_vector

Ints = npt.NDArray[np.int64]


def refuse_nulls(who: str, name: str, column: Any, first_row: int = 0, where: str = "") -> None:
    """Refuse nulls, at any level of a chunked array, naming the rows.

    Args:
        who: Whom the refusal names.
        name: What the column is called.
        column: A chunked array.
        first_row: The number of its first row.
        where: More words, such as the file.
    """
    null_rows: list[int] = []
    for chunk in column.chunks:
        null_rows += (first_row + np.unique(_null_entries(chunk))).tolist()
        first_row += len(chunk)
    if null_rows:
        must = f"column {name!r} must have no nulls{where}"
        some = f"rows {null_rows[:5]}" + (", ..." if len(null_rows) > 5 else "")
        remedy = "Fill them with pyarrow.compute.fill_null, or drop the rows."
        _check.refuse(who, must, some, remedy)


def _null_entries(array: Any) -> Ints:
    """Return which entries of an array are null or hold a null, at any level."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()  # the null may stand in the dictionary
    if array.null_count:
        return np.flatnonzero(np.asarray(array.is_null()))
    if is_list(array.type):
        splits = np.asarray(array.offsets, np.int64)
        inner = _null_entries(array.flatten())
        return np.searchsorted(splits - splits[0], inner, side="right") - 1
    if is_vector(array.type):
        return _null_entries(array.flatten()) // int(array.type.list_size)
    return np.zeros(0, np.int64)
