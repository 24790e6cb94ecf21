"""`python -m pipelines.train`."""

from pipelines.train.job import main

if __name__ == "__main__":
    raise SystemExit(main())
