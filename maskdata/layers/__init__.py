"""Tensors and masks -> tensors that carry the right mask, or none."""

from maskdata.layers.attach_mask import AttachMask
from maskdata.layers.drop_mask import DropMask

__all__ = ["AttachMask", "DropMask"]
