"""How good vectors are: metrics, evaluation, baselines, comparison, drift."""
