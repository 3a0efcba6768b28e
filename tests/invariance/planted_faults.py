"""Models with one known fault each, and models with none: what the audit must tell apart."""

from tests.invariance import clean_models, failing_masks, lost_masks, read_padding, wrong_losses

FAULTS = lost_masks.FAULTS | read_padding.FAULTS | failing_masks.FAULTS | wrong_losses.FAULTS
CLEAN = clean_models.CLEAN
