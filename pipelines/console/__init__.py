"""How a person meets the jobs: flags, config file, exit codes, progress, tables and JSON lines."""
