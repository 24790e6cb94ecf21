"""`python -m pipelines.operations.gc`."""

from pipelines.operations.gc.job import main

if __name__ == "__main__":
    raise SystemExit(main())
