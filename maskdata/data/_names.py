"""How companion features are called: the only place where their names are spelled."""


def mask_name(feature: str, level: int = 1) -> str:
    """Return the name of the mask of `feature`; nested ragged features have one a level.

    >>> mask_name("tokens"), mask_name("chars", level=2)
    ('tokens_mask', 'chars_mask_2')
    """
    return f"{feature}_mask" if level == 1 else f"{feature}_mask_{level}"


ROW_MASK = "row_mask"
"""Which rows came from the data, and which `FillRows` added."""


def row_mask_name(feature: str) -> str:
    """Return the name of the feature that tells which rows have steps in `feature`."""
    return f"{feature}_row_mask"


def cut_name(feature: str) -> str:
    """Return the name of the feature that counts the steps cut from each row of `feature`."""
    return f"{feature}_cut"


def holes_name(feature: str, axis: int) -> str:
    """Return the name of the feature that counts the holes taken out of each row of `feature`."""
    return f"{feature}_holes" if axis == 1 else f"{feature}_holes_{axis}"


def window_name(feature: str) -> str:
    """Return the name of the feature that numbers the windows of a row split by `feature`."""
    return f"{feature}_window"


def segment_ids_name(feature: str) -> str:
    """Return the name of the feature that tells to which segment each packed step belongs.

    >>> segment_ids_name("tokens"), positions_name("tokens")
    ('tokens_segment_ids', 'tokens_positions')
    """
    return f"{feature}_segment_ids"


def positions_name(feature: str) -> str:
    """Return the name of the feature that numbers the steps of each segment of `feature`."""
    return f"{feature}_positions"


SEGMENT_MASK = "segment_mask"
"""Which segments of a packed row are rows of the data, and which were filled."""
