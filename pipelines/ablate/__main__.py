"""`python -m pipelines.ablate`."""

from pipelines.ablate.job import main

if __name__ == "__main__":
    raise SystemExit(main())
