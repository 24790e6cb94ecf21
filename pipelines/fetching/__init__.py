"""Pictures by URL: asked for politely, bounded in bytes and time, kept under the image root."""
