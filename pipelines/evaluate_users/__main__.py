"""`python -m pipelines.evaluate_users`."""

from pipelines.evaluate_users.job import main

if __name__ == "__main__":
    raise SystemExit(main())
