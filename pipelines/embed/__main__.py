"""`python -m pipelines.embed`."""

from pipelines.embed.job import main

if __name__ == "__main__":
    raise SystemExit(main())
