"""The nearest vectors: Annoy and HNSW indexes, the exact search beside them, how they are built and measured."""
