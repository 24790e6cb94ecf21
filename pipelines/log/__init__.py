"""The engagement log: which files, which rows can be used, whose actions and queries."""
