"""Columns of a shop's table become columns of ours: whole columns at once where all is well, else value by value."""
