"""Errors and warnings of Keras -> what they say."""

import re
import warnings
from typing import Any


def first_line(error: Exception) -> str:
    """Return what an error says, without the frame that Keras puts around it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("Exception encountered when calling")]
    return f"{type(error).__name__}: {said[0].rstrip('.') if said else ''}"


def call_of(error: BaseException | None) -> Any:
    """Return the innermost recorded call that raised an error, however often it was raised again."""
    found = None
    while error is not None:
        found = getattr(error, "_audited_call", found)
        error = error.__context__
    return found


def is_about_masks(entry: warnings.WarningMessage) -> bool:
    """Tell whether a layer said that it drops the mask."""
    return "destroy the mask information" in str(entry.message)


def is_about_inputs(entry: warnings.WarningMessage) -> bool:
    """Tell whether a functional model got other inputs than it declares."""
    return "The structure of `inputs` doesn't match" in str(entry.message)
