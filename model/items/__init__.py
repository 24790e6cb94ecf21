"""The model: items and queries to vectors of one space, what it starts as, and the folder that it is kept in."""
