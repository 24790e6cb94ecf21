"""What the pairs job reads and how: its config, and the plan made from it without reading a row."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from model.image_encoder_spec import saved_image_encoder_spec
from model.query_table import table_folder, table_source
from model.split import DEFAULT_KIND, KINDS, SplitConfig
from model.text_encoder_spec import TextEncoderSpec, saved_text_encoder_spec
from model.typos import TYPO_SHARE, check_typo_share
from model.vocabulary import DESCRIPTION_FILE
from pipelines.console.jobs import flag, narrow
from pipelines.dated_log import DatedLog
from pipelines.gating.thresholds import LogThresholds
from pipelines.picture_limits import limits_of
from pipelines.transforms.count_pairs import PairRules
from pipelines.transforms.embed_queries import QueryEncoding, unit_name
from pipelines.transforms.hold_out import HoldOutRules
from pipelines.transforms.join_pairs import JoinRules
from pipelines.transforms.read_engagements import EngagementsSource, slice_unit
from pipelines.transforms.write_pair_summaries import SUMMARIES
from pipelines.units import bucket_name, read_stage_manifest
from schemas.columns import table_columns
from schemas.days import end_of_day_us
from schemas.errors import UsageError
from schemas.files import expand_inputs, read_json
from schemas.hashing import fingerprint
from schemas.query_vectors import check_query_vectors
from schemas.reading import FileSlice, check_columns, count_rows, input_identity, plan_slices
from schemas.tables import ENGAGEMENTS

STAGE = "pairs"
#: In a run: the shop's own query vectors, as they are looked up.
QUERY_TABLE_FOLDER = "query_table"
CODE_VERSION = 7
#: Fields of the config that say where things lie or what is let pass, not what comes out.
_PLACES = (
    *("run", "engagements", "query_vectors", "image_root", "vocabulary", "image_encoder_folder"),
    *("text_encoder_folder", "device"),
)
_GATES = tuple(field.name for field in fields(LogThresholds))


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


@dataclass(frozen=True, kw_only=True)
class PairsPlan:
    """What a run of the stage reads and how; made from manifests and file footers alone. query_vectors: files of the
    shop's own, none without them."""

    fingerprint: str
    slices: Sequence[FileSlice]
    num_rows: int
    split: SplitConfig
    source: EngagementsSource
    pair_rules: PairRules
    join_rules: JoinRules
    encoding: QueryEncoding | None
    hold_out: HoldOutRules | None
    query_vectors: Sequence[str]

    @property
    def unit_names(self) -> list[str]:
        num_buckets = self.pair_rules.num_buckets
        names = [slice_unit(file_slice, "").name for file_slice in self.slices]
        names += [bucket_name(bucket, num_buckets) for bucket in range(num_buckets)]
        if self.encoding is not None:
            names += [unit_name(unit, num_buckets) for unit in range(num_buckets)]
        return [*names, *SUMMARIES]


def plan(config: PairsConfig) -> PairsPlan:
    """Raises UsageError if the flags do not fit each other, the input or the features of the run."""
    if config.engagements is None and config.pseudo_queries == 0:
        raise UsageError("expected --engagements, --pseudo-queries or both, got neither: there would be no pairs")
    for name in ("pseudo_queries", "max_pairs_per_item"):
        if getattr(config, name) < 0:
            raise UsageError(f"expected --{name.replace('_', '-')} >= 0, got {getattr(config, name)}")
    check_typo_share(config.typo_share)
    num_buckets = read_stage_manifest(config.run, "items")["num_buckets"]
    features = read_stage_manifest(config.run, "features")
    vocabulary = config.vocabulary or str(Path(config.run, "vocabulary"))
    _check_same("vocabulary_id", features, read_json(Path(vocabulary, DESCRIPTION_FILE))["id"], vocabulary)
    files = [] if config.engagements is None else expand_inputs(config.engagements, config.date)
    columns = table_columns(config.columns, "engagements")
    check_columns(files, columns, ENGAGEMENTS)
    encoding = _query_encoding(config, features, num_buckets) if files else None
    image_root = str(Path(config.image_root).resolve())
    settings = {name: value for name, value in asdict(config).items() if name not in _PLACES + _GATES}
    text_encoder = _text_encoder(config, features)
    inputs = [input_identity(files), features["units"], features["vocabulary_id"], features["image_encoder_id"]]
    inputs.append(None if text_encoder is None else text_encoder.encoder_id)
    query_vectors = [] if config.query_vectors is None else expand_inputs(config.query_vectors, config.date)
    query_table_folder = None
    if query_vectors:
        check_query_vectors(query_vectors)
        query_table_folder = str(table_folder(query_vectors, Path(config.run, QUERY_TABLE_FOLDER)))
        inputs.append(table_source(query_vectors))
    identity = fingerprint([CODE_VERSION, settings, inputs])
    common = {"run": config.run, "num_buckets": num_buckets}
    return PairsPlan(
        fingerprint=identity,
        slices=plan_slices(files),
        num_rows=count_rows(files),
        split=narrow(SplitConfig, config, kind=config.split),
        source=EngagementsSource(
            **common,
            columns=columns,
            end_us=end_of_day_us(config.date, config.time_zone),
            fingerprint=identity,
        ),
        pair_rules=PairRules(
            **common,
            vocabulary_folder=vocabulary,
            query_table_folder=query_table_folder,
            has_pictures=encoding is not None,
            pseudo_queries=config.pseudo_queries,
            typo_share=config.typo_share,
            max_pairs_per_item=config.max_pairs_per_item,
            seed=config.seed,
        ),
        join_rules=JoinRules(
            **common,
            vocabulary_folder=vocabulary,
            text_encoder=text_encoder,
            query_table_folder=query_table_folder,
            frequencies=config.frequencies,
            seed=config.seed,
            fingerprint=identity,
        ),
        encoding=encoding,
        hold_out=HoldOutRules(
            **common, image_root=image_root if encoding is not None else None, limits=limits_of(features)
        )
        if files and config.split == "query_item"
        else None,
        query_vectors=query_vectors,
    )


def _check_same(name: str, features: dict[str, Any], got: str, folder: str) -> None:
    if features[name] != got:
        raise UsageError(
            f"expected the {name} {features[name]} that the features were made with, got {got} in {folder}: "
            "use the same, or run the features stage again"
        )


def _text_encoder(config: PairsConfig, features: dict[str, Any]) -> TextEncoderSpec | None:
    """None if the features have no text vectors: then queries have none either."""
    if features.get("text_dim", 0) == 0:
        return None
    folder = config.text_encoder_folder or str(Path(config.run, "text_encoder"))
    spec = saved_text_encoder_spec(folder, config.device)
    _check_same("text_encoder_id", features, spec.network_id, folder)
    return spec


def _query_encoding(config: PairsConfig, features: dict[str, Any], num_buckets: int) -> QueryEncoding | None:
    """None if the features have no pictures: then closeup rows are left out and counted."""
    if features["picture_dim"] == 0:
        return None
    folder = config.image_encoder_folder or str(Path(config.run, "image_encoder"))
    spec = saved_image_encoder_spec(folder, config.device)
    _check_same("image_encoder_id", features, spec.network_id, folder)
    return QueryEncoding(
        run=config.run,
        image_root=str(Path(config.image_root).resolve()),
        encoder_folder=folder,
        encoder_id=spec.encoder_id,
        device=config.device,
        num_units=num_buckets,
        limits=limits_of(features),
    )
