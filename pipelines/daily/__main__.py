"""`python -m pipelines.daily`."""

from pipelines.daily.job import main

if __name__ == "__main__":
    raise SystemExit(main())
