"""`python -m pipelines.ablate`."""

import sys

from pipelines.ablate.job import main

if __name__ == "__main__":
    sys.exit(main())
