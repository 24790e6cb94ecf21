"""`python -m pipelines.fetch_images`."""

from pipelines.fetch_images.job import main

if __name__ == "__main__":
    raise SystemExit(main())
