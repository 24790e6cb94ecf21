"""Parquet files from hands that are not ours: what they would take in memory is known before it is taken."""
