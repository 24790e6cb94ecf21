"""The pieces of the gates: thresholds and results, checked reading of a run, one check a gate."""
