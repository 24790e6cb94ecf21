"""`itemsage path --store S embeddings`: the folder of the published run, for scripts that read the Parquet.

duckdb -c "select count(*) from '$(itemsage path --store store embeddings)/*.parquet'"
"""

import argparse
import sys
from collections.abc import Sequence

from pipelines.jobs import exit_code
from pipelines.store import READABLE, current_run
from schemas.errors import UsageError


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="itemsage path",
        description="Prints a folder of the published run.",
        epilog="example:\n  itemsage path --store store embeddings",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--store", required=True, help="store folder")
    parser.add_argument("what", choices=READABLE, help="which folder")
    arguments = parser.parse_args(argv)

    def job() -> None:
        folder = current_run(arguments.store) / arguments.what
        if not folder.is_dir():
            raise UsageError(f"expected {arguments.what} in the published run, got no {folder}")
        print(folder)

    return exit_code(job)


if __name__ == "__main__":
    sys.exit(main())
