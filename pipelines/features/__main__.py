"""`python -m pipelines.features`."""

import sys

from pipelines.features.job import main

if __name__ == "__main__":
    sys.exit(main())
