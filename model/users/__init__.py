"""Users: actions to clusters and medoids (PinnerSage), candidates from them, and how good these are."""
