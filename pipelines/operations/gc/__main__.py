"""`python -m pipelines.operations.gc`."""

import sys

from pipelines.operations.gc.job import main

if __name__ == "__main__":
    sys.exit(main())
