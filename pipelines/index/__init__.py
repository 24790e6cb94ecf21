"""Stage: embeddings -> index with measured recall."""
