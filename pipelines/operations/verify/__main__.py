"""`python -m pipelines.operations.verify`."""

from pipelines.operations.verify.job import main

if __name__ == "__main__":
    raise SystemExit(main())
