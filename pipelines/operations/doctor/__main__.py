"""`python -m pipelines.operations.doctor`."""

from pipelines.operations.doctor.job import main

if __name__ == "__main__":
    raise SystemExit(main())
