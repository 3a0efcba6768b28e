"""Training that dies -> the same training, from where it was saved."""

from maskdata._resumable.resumable import Resumable

__all__ = ["Resumable"]
