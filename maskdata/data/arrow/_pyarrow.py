"""pyarrow, if it is installed: only what is imported after this check may import it at its top."""

from typing import Any


def import_pyarrow(who: str) -> Any:
    """Return pyarrow; refuse if it is not there."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError(
            f"{who}: needs pyarrow. Install it: pip install 'maskdata[arrow]'."
        ) from error
    return pa
