"""Why does a network not learn? Findings with evidence and a cure, worst first."""
