"""Judge estimators on the same drives: errors, ratios with intervals, NEES, outages."""
