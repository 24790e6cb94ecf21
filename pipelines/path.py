"""`itemsage path --store S embeddings`: the folder of the published run, for scripts that read the Parquet.

duckdb -c "select count(*) from '$(itemsage path --store store embeddings)/*.parquet'"
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.console.jobs import flag, main_of_alone
from pipelines.stages import readable
from pipelines.store.store import current_run
from schemas import storage
from schemas.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class PathConfig:
    """Prints a folder of the published run."""

    what: str = flag(help="which folder", choices=readable(), positional=True)
    store: str = flag(path=True, help="store folder")


def run(config: PathConfig) -> None:
    """Prints the folder. Raises UsageError if nothing is published or the published run lacks it."""
    folder = current_run(config.store) / config.what
    if not storage.is_folder(folder):
        raise UsageError(f"expected {config.what} in the published run, got no {folder}")
    print(folder)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of_alone(PathConfig, run, argv, "itemsage path", "itemsage path --store store embeddings")


if __name__ == "__main__":
    sys.exit(main())
