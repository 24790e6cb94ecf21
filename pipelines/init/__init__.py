"""Command: a shop's export -> a commented config file."""
