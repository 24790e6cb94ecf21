"""`python -m pipelines.fetch_images`."""

import sys

from pipelines.fetch_images.job import main

if __name__ == "__main__":
    sys.exit(main())
