"""`python -m pipelines.index`."""

from pipelines.index.job import main

if __name__ == "__main__":
    raise SystemExit(main())
