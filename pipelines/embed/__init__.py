"""Stage: features + model -> unit vectors."""
