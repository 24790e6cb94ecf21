"""Command: checks every file, count and vector of a run; recomputes a sample."""
