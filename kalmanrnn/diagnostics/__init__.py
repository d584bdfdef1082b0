"""Findings on a scenario, a training or a log: what is wrong, the evidence, and a cure."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "finding": ["Finding", "findings_to_json", "format_findings"],
        "scenario.check": ["check_scenario"],
        "training.diagnosis": ["Diagnosis", "diagnose"],
    },
)
