"""Beam jobs, one file a job, the store, and the command line."""
