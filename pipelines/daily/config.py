"""The flags of the daily run."""

from dataclasses import dataclass
from typing import Any

from model.nearest.searched import BACKENDS
from model.pictures.decoding import DEFAULT_LIMITS
from pipelines.console.jobs import flag
from pipelines.gates.judge import GateThresholds
from pipelines.ingest import job as ingest
from pipelines.log.dated_log import DatedLog
from pipelines.publish import Acceptance
from pipelines.users.config import UserSettings
from schemas.grouping import GROUP_ROWS


@dataclass(frozen=True, kw_only=True)
class DailyConfig(GateThresholds, Acceptance, UserSettings, DatedLog):
    """One day: the shop's whole catalogue in, published embeddings and index out."""

    catalog: str = flag(path=True, help=ingest.CATALOG_HELP)
    engagements: str | None = flag(
        path=True, default=None, help="engagements up to the end of --date, for users and the run's metrics"
    )
    image_root: str = flag(
        path=True, default=".", help="folder that relative picture paths start from; nothing outside it is read"
    )
    store: str = flag(path=True, help="store folder")
    date: str = flag(help="the day, YYYY-MM-DD, of --time-zone")
    attempt: int = flag(default=0, help="another number runs a finished day again, say after pictures were mended")
    model: str | None = flag(default=None, help="model id; default: the model trained last")
    group_rows: str = flag(default="no", choices=GROUP_ROWS, help=ingest.GROUP_ROWS_HELP)
    num_buckets: int = flag(default=0, help="buckets of a new store; 0 chooses about 3,000 rows a bucket")
    verify_images: bool = flag(
        default=False, help="read every picture, also those whose size and modification time are unchanged"
    )
    target_recall: float = flag(default=0.95, help="recall@10 of the index to reach")
    max_trees: int = flag(default=100, help="cost cap of the index: trees")
    max_search_k: int = flag(default=20_000, help="cost cap of the index: nodes inspected a query")
    index_backend: str = flag(
        default="annoy", choices=BACKENDS, help="what searches go through; items.ann is written all the same"
    )
    refine_cosine: float = flag(default=0.0, help="also an index without items this near to one that is kept; 0: none")
    image_dtype: str = flag(
        default="auto", choices=("auto", "float32", "bfloat16"), help="number format of the image encoder"
    )
    max_picture_bytes: int = flag(default=DEFAULT_LIMITS.max_bytes, help="larger picture files are quarantined")
    max_picture_pixels: int = flag(default=DEFAULT_LIMITS.max_pixels, help="pictures of more pixels are quarantined")
    users: bool = flag(default=True, help="several vectors per user (PinnerSage), where there are --engagements")
    columns: dict[str, Any] = flag(default={}, help="our column name -> the shop's (table [columns] of --config)")


def makes_users(config: DailyConfig) -> bool:
    """Whether the day's runs have users."""
    return config.users and config.engagements is not None
