"""What `itemsage train` and `itemsage ablate` are told about the model and its training."""

from dataclasses import dataclass

from model.items.config import AGGREGATORS, ItemSageConfig
from model.training.config import PRECISIONS, TASK_MIXES, TrainingConfig
from model.training.losses import CORRECTIONS
from pipelines.console.jobs import flag, narrow
from schemas.errors import UsageError
from schemas.quarantine import quote


@dataclass(frozen=True, kw_only=True)
class ModelFlags:
    """The switches of model.items.config.ItemSageConfig; sizes of the input come with the data."""

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
    output_dim: int = flag(default=ItemSageConfig.output_dim, help="dimensions of the vectors of items and queries")
    hash_rows: int = flag(default=ItemSageConfig.hash_rows, help="rows of the table of token vectors")
    hash_dim: int = flag(default=ItemSageConfig.hash_dim, help="dimensions of a row")
    width: int = flag(default=ItemSageConfig.width, help="dimensions inside the transformer")
    heads: int = flag(default=ItemSageConfig.heads, help="attention heads, which divide --width")
    ffn_dim: int = flag(default=ItemSageConfig.ffn_dim, help="hidden size of a block's feed-forward part")
    mlp_dim: int = flag(default=ItemSageConfig.mlp_dim, help="hidden size of the MLPs")
    table_std: float = flag(default=ItemSageConfig.table_std, help="deviation of the table's entries before training")
    weight_init: str = flag(
        default=ItemSageConfig.weight_init,
        choices=("ones", "normal"),
        help="a token's importances with --start random: equal, or N(0, 1) as published",
    )
    field_layer_norm: bool = flag(
        default=ItemSageConfig.field_layer_norm, help="whether a text field's sum of tokens is normalised"
    )
    field_weights: bool = flag(
        default=ItemSageConfig.field_weights, help="whether each text field has a weight of its own, which is learned"
    )
    normalize_pictures: bool = flag(
        default=ItemSageConfig.normalize_pictures, help="whether picture vectors are scaled to one norm"
    )
    share_text_table: bool = flag(
        default=ItemSageConfig.share_text_table, help="whether queries and items share their token vectors"
    )
    seed: int = flag(default=0, help="same seed, same weights")


@dataclass(frozen=True, kw_only=True)
class LearningFlags:
    """The switches of model.training.config.TrainingConfig."""

    distill_epochs: float = flag(
        default=TrainingConfig.distill_epochs,
        help="passes over the items in which the token tables learn to rank them as BM25 does, before the log; 0: none",
    )
    max_distill_steps: int = flag(default=TrainingConfig.max_distill_steps, help="steps of it, at most")
    pseudo_share: float = flag(
        default=TrainingConfig.pseudo_share,
        help="share of a batch that pseudo-queries have beside other tasks, at most",
    )
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
    field_weight_learning_rate: float = flag(
        default=TrainingConfig.field_weight_learning_rate, help="of the logarithms of the text fields' weights"
    )
    weight_decay: float = flag(default=TrainingConfig.weight_decay, help="decay of the weights towards their start")
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
    interpolate: bool = flag(
        default=TrainingConfig.interpolate,
        help="whether weights nearer to the start than the best step's are taken where validation sees no difference",
    )
    mask_known: bool = flag(
        default=TrainingConfig.mask_known,
        help="whether an item that the log has for a query is kept from being a negative of it",
    )
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
    nested_dims: str = flag(
        default="",
        by_commas=True,
        help="numbers of first dimensions, separated by commas, that are trained as vectors of their own (Matryoshka)",
    )
    num_negatives: int = flag(default=0, help="random negatives a step on average, at most; 0: as many as --batch-size")
    count_cap: int = flag(
        default=TrainingConfig.count_cap, help="a pair is walked over as often as it occurred, at most so many times"
    )
    max_field_tokens: int = flag(
        default=TrainingConfig.max_field_tokens, help="tokens of a text field that a training step reads, drawn anew"
    )
    warmup_fraction: float = flag(
        default=TrainingConfig.warmup_fraction, help="share of the steps in which the learning rates rise to their peak"
    )
    max_gradient_norm: float = flag(
        default=TrainingConfig.max_gradient_norm, help="larger gradients of the dense weights are scaled down to it"
    )
    frozen: str = flag(
        default="", by_commas=True, help="first parts of the names of weights that stay as they start, as text_tower"
    )
    patience: int = flag(
        default=TrainingConfig.patience, help="validations without a better one before training stops; 0: never"
    )
    evaluate_every: int = flag(default=0, help="steps between validations; 0: an epoch, at least a tenth of the run")
    checkpoint_every: int = flag(default=0, help="steps between checkpoints; 0: a fifth of the run")
    log_every: int = flag(default=TrainingConfig.log_every, help="steps between lines of metrics.jsonl")
    validation_pairs: int = flag(
        default=TrainingConfig.validation_pairs, help="validation pairs of the log that are ranked, at most"
    )
    validation_items: int = flag(
        default=TrainingConfig.validation_items, help="items that they are ranked among, at most"
    )
    precision: str = flag(
        default=TrainingConfig.precision,
        choices=PRECISIONS,
        help="number format of a step; auto: bf16 on a GPU, else fp32",
    )
    device: str = flag(default="auto", help="auto, cpu or cuda")

    def training_config(self) -> TrainingConfig:
        """How to train. Raises UsageError for impossible values."""

        def names(given: str) -> tuple[str, ...]:
            return tuple(name.strip() for name in given.split(",") if name.strip())

        try:
            nested_dims = tuple(map(int, names(self.nested_dims)))
        except ValueError:
            raise UsageError(
                f"expected --nested-dims of whole numbers separated by commas, got {quote(self.nested_dims)}"
            ) from None
        lists = {"nested_dims": nested_dims, "tasks": names(self.tasks), "frozen": names(self.frozen)}
        return narrow(TrainingConfig, self, **lists, num_negatives=self.num_negatives or None)
