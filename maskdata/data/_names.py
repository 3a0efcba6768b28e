"""How companion features are called: the only place where `_mask` is spelled."""


def mask_name(feature: str, level: int = 1) -> str:
    """Return the name of the mask of `feature`; nested ragged features have one a level.

    >>> mask_name("tokens"), mask_name("chars", level=2)
    ('tokens_mask', 'chars_mask_2')
    """
    return f"{feature}_mask" if level == 1 else f"{feature}_mask_{level}"


def cut_name(feature: str) -> str:
    """Return the name of the feature that counts the steps cut from each row of `feature`."""
    return f"{feature}_cut"
