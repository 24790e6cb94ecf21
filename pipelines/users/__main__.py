"""`python -m pipelines.users`."""

from pipelines.users.job import main

if __name__ == "__main__":
    raise SystemExit(main())
