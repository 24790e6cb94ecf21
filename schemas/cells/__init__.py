"""What one cell says: as a text, a list, a time, a number, in whatever way a shop's system writes it."""
