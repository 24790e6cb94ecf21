"""Command: catalogue + engagements -> a model in the store."""
