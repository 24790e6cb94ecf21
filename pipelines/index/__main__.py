"""`python -m pipelines.index`."""

import sys

from pipelines.index.job import main

if __name__ == "__main__":
    sys.exit(main())
