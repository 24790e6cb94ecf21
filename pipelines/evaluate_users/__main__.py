"""`python -m pipelines.evaluate_users`."""

import sys

from pipelines.evaluate_users.job import main

if __name__ == "__main__":
    sys.exit(main())
