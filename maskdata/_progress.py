"""A progress bar for long passes over a dataset: on a terminal only, on stderr, gone when done."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def progress(items: Iterable[Item], description: str) -> Iterator[Item]:
    """Yield `items`, showing how many there were so far."""
    console = Console(stderr=True)
    yield from track(
        items,
        description=description,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        show_speed=True,
    )
