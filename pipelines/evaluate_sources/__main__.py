"""`python -m pipelines.evaluate_sources`."""

from pipelines.evaluate_sources.job import main

if __name__ == "__main__":
    raise SystemExit(main())
