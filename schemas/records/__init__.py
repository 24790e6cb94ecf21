"""What the store keeps, as tables and files: embeddings, users, TFRecords, fingerprints, manifests."""
