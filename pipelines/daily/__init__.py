"""Command: catalogue -> published embeddings, index and users."""
