"""Why doesn't my network learn? Findings with evidence and a cure, worst first."""

from __future__ import annotations

from kalmanrnn.doctor.examine import Diagnosis, check
from kalmanrnn.doctor.finding import Finding, show_findings

__all__ = ["Diagnosis", "Finding", "check", "show_findings"]
