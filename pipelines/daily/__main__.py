"""`python -m pipelines.daily`."""

import sys

from pipelines.daily.job import main

if __name__ == "__main__":
    sys.exit(main())
