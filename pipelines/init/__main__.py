"""`python -m pipelines.init`."""

from pipelines.init.job import main

if __name__ == "__main__":
    raise SystemExit(main())
