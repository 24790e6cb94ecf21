"""The flags of the pairs job."""

from dataclasses import dataclass
from typing import Any

from model.split.split import DEFAULT_KIND, KINDS, SplitConfig
from model.text.typos import TYPO_SHARE
from pipelines.console.jobs import flag
from pipelines.log.dated_log import DatedLog


@dataclass(frozen=True, kw_only=True)
class PairsConfig(DatedLog):
    """Joins engagements, pseudo-queries or both to a run's features and splits the pairs."""

    run: str = flag(path=True, help="run folder that holds items/ and features/; pairs/ is written there")
    engagements: str | None = flag(
        path=True, default=None, help="engagements: a file, a folder or a glob; {date} means --date"
    )
    date: str | None = flag(
        default=None, help="rows after the end of this day (YYYY-MM-DD, of --time-zone) are left out"
    )
    image_root: str = flag(
        path=True, default=".", help="folder that query picture paths start from; nothing outside it is read"
    )
    split: str = flag(
        default=DEFAULT_KIND,
        choices=KINDS,
        help="whole queries and items held out, by time, by time within each item, or by hash of the query",
    )
    test_days: float | None = flag(
        default=None, help="length of the test part (split time); default: by --test-fraction"
    )
    gap_days: float | None = flag(default=None, help="length of the gap before it (split time)")
    validation_days: float | None = flag(default=None, help="length of the validation part before the gap (split time)")
    test_fraction: float = flag(default=0.2, help="test part of the log's span, an item's rows or the queries; 0: none")
    validation_fraction: float = flag(default=0.1, help="validation part, for early stopping; 0: none")
    item_test_fraction: float = flag(
        default=SplitConfig.item_test_fraction, help="items that are held out for the test part (split query_item)"
    )
    item_validation_fraction: float = flag(
        default=SplitConfig.item_validation_fraction, help="items that are held out for validation (split query_item)"
    )
    pseudo_queries: int = flag(default=0, help="text queries made from each item's own text")
    distill_queries: int = flag(
        default=0, help="text queries of an item, at most, from which a model learns to rank as BM25 does"
    )
    typo_share: float = flag(default=TYPO_SHARE, help="share of them that are misspelt")
    query_vectors: str | None = flag(
        path=True, default=None, help="Parquet of the shop's own frozen query vectors (query, vector)"
    )
    max_pairs_per_item: int = flag(default=0, help="training pairs an item, at most; 0: no cap")
    frequencies: str = flag(default="exact", choices=("exact", "sketch"), help="how queries and pairs are counted")
    vocabulary: str | None = flag(path=True, default=None, help="vocabulary folder; default: the run's")
    image_encoder_folder: str | None = flag(path=True, default=None, help="saved picture encoder; default: the run's")
    text_encoder_folder: str | None = flag(path=True, default=None, help="saved text encoder; default: the run's")
    device: str = flag(default="auto", help="auto, cpu or cuda")
    seed: int = flag(default=0, help="seed of the query split, the pseudo-queries, the cap and the sketch")
    columns: dict[str, Any] = flag(default={}, help="[columns.engagements]: our column name -> the shop's")
