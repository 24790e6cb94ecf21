"""Commands for operating a store: what ran, what is there, whether it can be trusted."""
