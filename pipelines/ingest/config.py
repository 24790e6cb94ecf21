"""The flags of the ingest job."""

from dataclasses import dataclass
from typing import Any

from pipelines.console.jobs import flag
from schemas.errors import UsageError
from schemas.validation.grouping import GROUP_ROWS

#: What --num-buckets 0 chooses.
ROWS_PER_BUCKET = 3_000
BUCKETS_HELP = "buckets of a new store; 0 chooses about 3,000 rows a bucket"
CATALOG_HELP = (
    "catalogue: a file, a folder of parts or a glob; {date} means --date. Several pictures in a CSV cell: a JSON list, "
    "or paths separated by |"
)
GROUP_ROWS_HELP = (
    "merge: the rows of one item_id are one item, and rows of one [columns] group complete each other; share-pictures: "
    "the items of a group have all its pictures, too"
)


@dataclass(frozen=True, kw_only=True)
class IngestConfig:
    """Reads a catalogue, quarantines its bad rows and writes the rest into buckets sorted by item_id."""

    run: str = flag(path=True, help="run folder to write into")
    catalog: str = flag(path=True, help=CATALOG_HELP)
    date: str | None = flag(default=None, help="the day of the catalogue, YYYY-MM-DD")
    num_buckets: int = flag(default=0, help=f"buckets of the store; 0: one for {ROWS_PER_BUCKET} rows, at least 4")
    group_rows: str = flag(default="no", choices=GROUP_ROWS, help=GROUP_ROWS_HELP)
    columns: dict[str, Any] = flag(default={}, help="our column name -> the shop's, from [columns] of the config file")

    def __post_init__(self) -> None:
        if self.num_buckets < 0:
            raise UsageError(f"expected --num-buckets of 0 (choose) or more, got {self.num_buckets}")
