"""Stage: items -> picture vectors, text vectors and token ids."""
