"""`python -m pipelines.operations.explain`."""

import sys

from pipelines.operations.explain.job import main

if __name__ == "__main__":
    sys.exit(main())
