"""`python -m pipelines.vocabulary`."""

from pipelines.vocabulary.job import main

if __name__ == "__main__":
    raise SystemExit(main())
