"""Stage: items -> vocabulary."""
