"""Which pairs train, validate and test: whole queries, whole items, times, and what is nearly the same."""
