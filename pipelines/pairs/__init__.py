"""Stage: engagements + features -> training pairs."""
