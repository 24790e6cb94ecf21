"""`python -m pipelines.users`."""

import sys

from pipelines.users.job import main

if __name__ == "__main__":
    sys.exit(main())
