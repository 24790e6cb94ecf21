"""The training step: pairs in, batches, losses, optimisers, validation, the choice of a step."""
