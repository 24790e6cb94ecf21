"""Pictures to vectors: where they lie, decoding and mending, the frozen networks."""
