"""The flags of the daily run."""

from dataclasses import dataclass
from typing import Any

from pipelines.console.jobs import flag, like
from pipelines.features.plan import FeaturesConfig
from pipelines.gates.judge import GateThresholds
from pipelines.index.job import IndexConfig
from pipelines.ingest.config import BUCKETS_HELP, IngestConfig
from pipelines.log.dated_log import DatedLog
from pipelines.publish import Acceptance
from pipelines.users.config import UserSettings


@dataclass(frozen=True, kw_only=True)
class DailyConfig(GateThresholds, Acceptance, UserSettings, DatedLog):
    """One day: the shop's whole catalogue in, published embeddings and index out."""

    catalog: str = like(IngestConfig, "catalog")
    engagements: str | None = flag(
        path=True, default=None, help="engagements up to the end of --date, for users and the run's metrics"
    )
    image_root: str = like(FeaturesConfig, "image_root")
    store: str = flag(path=True, help="store folder")
    date: str = flag(help="the day, YYYY-MM-DD, of --time-zone")
    attempt: int = flag(default=0, help="another number runs a finished day again, say after pictures were mended")
    model: str | None = flag(default=None, help="model id; default: the model trained last")
    group_rows: str = like(IngestConfig, "group_rows")
    num_buckets: int = like(IngestConfig, "num_buckets", help=BUCKETS_HELP)
    verify_images: bool = like(FeaturesConfig, "verify_images")
    target_recall: float = like(IndexConfig, "target_recall", help="recall@10 of the index to reach")
    max_trees: int = like(IndexConfig, "max_trees", help="cost cap of the index: trees")
    max_search_k: int = like(IndexConfig, "max_search_k", help="cost cap of the index: nodes inspected a query")
    index_backend: str = like(IndexConfig, "index_backend")
    refine_cosine: float = like(IndexConfig, "refine_cosine")
    image_dtype: str = like(FeaturesConfig, "image_dtype")
    max_picture_bytes: int = like(FeaturesConfig, "max_picture_bytes")
    max_picture_pixels: int = like(FeaturesConfig, "max_picture_pixels")
    users: bool = flag(default=True, help="several vectors per user (PinnerSage), where there are --engagements")
    unify: bool = flag(default=False, help="one vector of many sources for each item too, by the unified model")
    unified_model: str | None = flag(default=None, help="its id; default: the store's, by `itemsage unify`")
    vectors: str = like(IndexConfig, "vectors", help="which vectors index and users are of; unified: with --unify")
    columns: dict[str, Any] = flag(default={}, help="our column name -> the shop's (table [columns] of --config)")
