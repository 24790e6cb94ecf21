"""`python -m pipelines.evaluate`."""

from pipelines.evaluate.job import main

if __name__ == "__main__":
    raise SystemExit(main())
