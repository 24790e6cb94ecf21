"""Command: pictures that the catalogue names by URL -> files under the image root."""
