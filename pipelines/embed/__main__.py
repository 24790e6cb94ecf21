"""`python -m pipelines.embed`."""

import sys

from pipelines.embed.job import main

if __name__ == "__main__":
    sys.exit(main())
