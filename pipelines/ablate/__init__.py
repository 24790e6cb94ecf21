"""Command: the papers' tables on a shop's own data."""
