"""`python -m pipelines.pairs`."""

import sys

from pipelines.pairs.job import main

if __name__ == "__main__":
    sys.exit(main())
