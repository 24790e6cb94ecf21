"""`python -m pipelines.features`."""

from pipelines.features.job import main

if __name__ == "__main__":
    raise SystemExit(main())
