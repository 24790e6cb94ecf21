"""What a run must pass before readers see it."""
