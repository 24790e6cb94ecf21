"""Command: how good users are on past days, beside baselines."""
