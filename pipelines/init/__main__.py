"""`python -m pipelines.init`."""

import sys

from pipelines.init.job import main

if __name__ == "__main__":
    sys.exit(main())
