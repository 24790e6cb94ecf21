"""Command: deletes old runs that no reader can still be inside."""
