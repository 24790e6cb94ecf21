"""Composite PTransforms, one a file, named for the user's task."""
