"""`python -m pipelines.pairs`."""

from pipelines.pairs.job import main

if __name__ == "__main__":
    raise SystemExit(main())
