"""The columns of a shop's table: what they are usually called, what the mapping says of them, and rows of them as they
are, before anything is judged."""
