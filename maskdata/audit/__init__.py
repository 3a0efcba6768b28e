"""A model and a batch -> which layer lets padding into the result."""

from maskdata.audit._audit import audit
from maskdata.audit.report import Call, Problem, Quantity, Report

__all__ = ["Call", "Problem", "Quantity", "Report", "audit"]
