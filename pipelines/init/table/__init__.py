"""A shop's table as its files show it, and which of its columns are which of ours."""
