"""Command: one item today and yesterday, and why it was computed or reused."""
