"""How a table is a log: its events, times, users and items."""
