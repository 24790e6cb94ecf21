"""`python -m pipelines.ingest`."""

import sys

from pipelines.ingest.job import main

if __name__ == "__main__":
    sys.exit(main())
