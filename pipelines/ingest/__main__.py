"""`python -m pipelines.ingest`."""

from pipelines.ingest.job import main

if __name__ == "__main__":
    raise SystemExit(main())
