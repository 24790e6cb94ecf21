"""Stage: engagements + embeddings -> several vectors per user (PinnerSage), and their calibration."""
