"""Compare estimators on the same drives: errors, ratios with intervals, NEES, outages."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "comparison": ["Comparison", "compare"],
        "estimates": ["Estimates", "run_baselines", "run_filter", "run_student"],
        "metrics": ["ErrorSummary", "Interval", "StateGroup", "state_groups"],
        "outages": ["outage_errors"],
        "summary": ["EstimatorMetrics"],
    },
)
