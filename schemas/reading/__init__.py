"""From what lies in a folder to raw rows: forms of files, dialects, headers, JSON of every shape, feeds."""
