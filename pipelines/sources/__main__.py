"""`python -m pipelines.sources`."""

from pipelines.sources.job import main

if __name__ == "__main__":
    raise SystemExit(main())
