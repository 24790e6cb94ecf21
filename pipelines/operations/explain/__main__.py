"""`python -m pipelines.operations.explain`."""

from pipelines.operations.explain.job import main

if __name__ == "__main__":
    raise SystemExit(main())
