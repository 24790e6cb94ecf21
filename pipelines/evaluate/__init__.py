"""Command: how good a run's vectors are, beside baselines."""
