"""Unified item vectors: the model that fuses sources, and the stage of a day that makes one vector an item with it."""
