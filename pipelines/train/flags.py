"""What `itemsage train` and `itemsage ablate` are told about the data to train on; the rest is in learning_flags."""

from dataclasses import dataclass
from typing import Any

from model.text.vocabulary import MODES
from pipelines.console.jobs import flag, like, set_flag_types
from pipelines.console.thresholds import GateThresholds
from pipelines.features.plan import FeaturesConfig
from pipelines.ingest.config import BUCKETS_HELP, IngestConfig
from pipelines.log.dated_log import DatedLog
from pipelines.pairs.config import PairsConfig
from pipelines.publish import Acceptance
from pipelines.train.learning_flags import LearningFlags, ModelFlags


@dataclass(frozen=True, kw_only=True)
class DataFlags(Acceptance, DatedLog):
    """What a model is trained on."""

    catalog: str = flag(path=True, help="catalogue: a file, a folder of parts or a glob; {date} means --date")
    engagements: str | None = flag(
        path=True, default=None, help="engagements up to the end of --date; default: pseudo-queries alone train"
    )
    group_rows: str = like(IngestConfig, "group_rows")
    image_root: str = like(FeaturesConfig, "image_root")
    date: str = flag(help="the day, YYYY-MM-DD, of --time-zone; later engagements are left out")
    image_encoder: str = flag(
        default="resnet50", help="a torchvision classification network, efficientnet_lite0, or none for text only"
    )
    image_weights: str | None = like(FeaturesConfig, "image_weights", help="its weights file (.pth or .safetensors)")
    image_weights_name: str | None = like(FeaturesConfig, "image_weights_name")
    image_weights_sha256: str | None = like(FeaturesConfig, "image_weights_sha256")
    image_dtype: str = like(FeaturesConfig, "image_dtype")
    max_picture_bytes: int = like(FeaturesConfig, "max_picture_bytes")
    max_picture_pixels: int = like(FeaturesConfig, "max_picture_pixels")
    max_quarantined_rows: float = like(GateThresholds, "max_quarantined_rows")
    max_quarantined_pictures: float = like(GateThresholds, "max_quarantined_pictures")
    text_encoder: str | None = like(FeaturesConfig, "text_encoder")
    text_dtype: str = like(FeaturesConfig, "text_dtype")
    query_vectors: str | None = flag(
        path=True,
        default=None,
        help="the shop's own frozen vectors of queries: Parquet with columns query and vector; default: none",
    )
    vocabulary_mode: str = flag(default="vocabulary", choices=MODES, help="how tokens get ids")
    pseudo_queries: int = flag(default=2, help="text queries made from each item's own text; 0: none")
    distill_queries: int = flag(
        default=40,
        help="text queries of an item, at most, from which the token tables learn to rank as BM25 does; 0: none do",
    )
    typo_share: float = like(PairsConfig, "typo_share", help="share of the pseudo-queries that are misspelt")
    split: str = like(PairsConfig, "split", help="how pairs are split, see `itemsage pairs`")
    test_days: float | None = like(PairsConfig, "test_days", help="length of the test part (split time)")
    gap_days: float | None = like(PairsConfig, "gap_days")
    test_fraction: float = like(PairsConfig, "test_fraction")
    validation_fraction: float = like(PairsConfig, "validation_fraction")
    item_test_fraction: float = like(PairsConfig, "item_test_fraction")
    item_validation_fraction: float = like(PairsConfig, "item_validation_fraction")
    frequencies: str = like(PairsConfig, "frequencies", help="how pairs are counted for logQ")
    num_buckets: int = like(IngestConfig, "num_buckets", help=BUCKETS_HELP)
    columns: dict[str, Any] = flag(default={}, help="our column name -> the shop's (table [columns] of --config)")


@dataclass(frozen=True, kw_only=True)
class TrainingFlags(ModelFlags, LearningFlags, DataFlags):
    """What a model is trained on, and how."""

    def __post_init__(self) -> None:
        super().__post_init__()
        set_flag_types(self)
