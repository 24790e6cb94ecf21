"""`python -m pipelines.vocabulary`."""

import sys

from pipelines.vocabulary.job import main

if __name__ == "__main__":
    sys.exit(main())
