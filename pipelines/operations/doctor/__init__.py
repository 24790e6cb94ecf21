"""Command: checks machine, packages, model and inputs before a run."""
