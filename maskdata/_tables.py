"""A table of rich -> text."""

import io

from rich.console import Console, RenderableType


def as_text(table: RenderableType) -> str:
    """Return what `print` shows of a table, or of several and words, at most 100 characters wide.

    >>> as_text("rows  ")
    'rows'
    """
    file = io.StringIO()
    Console(file=file, width=100).print(table)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())
