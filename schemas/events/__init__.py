"""Events of a log, each of which is the rows of its items."""
