"""`python -m pipelines.operations.doctor`."""

import sys

from pipelines.operations.doctor.job import main

if __name__ == "__main__":
    sys.exit(main())
