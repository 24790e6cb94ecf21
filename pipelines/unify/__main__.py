"""`python -m pipelines.unify`."""

from pipelines.unify.job import main

if __name__ == "__main__":
    raise SystemExit(main())
