"""`python -m pipelines.operations.verify`."""

import sys

from pipelines.operations.verify.job import main

if __name__ == "__main__":
    sys.exit(main())
