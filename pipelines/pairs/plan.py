"""What the pairs job reads and how: the plan made from its config without reading a row."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from model.items.query_table import table_folder, table_source
from model.pictures.image_encoder_spec import saved_image_encoder_spec
from model.split.split import SplitConfig
from model.text.text_encoder_spec import TextEncoderSpec, saved_text_encoder_spec
from model.text.typos import check_typo_share
from model.text.vocabulary import DESCRIPTION_FILE
from pipelines.console.jobs import narrow
from pipelines.console.thresholds import LogThresholds
from pipelines.features.picture_limits import limits_of
from pipelines.log.read_engagements import EngagementsSource, slice_unit
from pipelines.pairs.config import PairsConfig
from pipelines.pairs.distinct_pairs import DistillationRules, PairRules
from pipelines.pairs.embed_queries import QueryEncoding, unit_name
from pipelines.pairs.hold_out import HoldOutRules
from pipelines.pairs.join_pairs import JoinRules
from pipelines.pairs.write_summaries import SUMMARIES
from pipelines.run.units import bucket_name, read_stage_manifest
from schemas import storage
from schemas.columns.mapping import table_columns
from schemas.columns.raw_rows import FileSlice
from schemas.columns.spec import ColumnsOfTable
from schemas.days import end_of_day_us
from schemas.errors import UsageError
from schemas.files import expand_inputs, read_json
from schemas.hashing import fingerprint
from schemas.reading.input_files import check_columns, count_rows, input_identity
from schemas.reading.rows import plan_slices
from schemas.records.query_vectors import check_query_vectors
from schemas.tables import ENGAGEMENTS

STAGE = "pairs"
#: In a run: the shop's own query vectors, as they are looked up.
QUERY_TABLE_FOLDER = "query_table"
CODE_VERSION = 12
#: Queries of a catalogue that a model is distilled from, at most: its steps meet 800,000 by default. An item has
#: _FEW_QUERIES if there are enough of them, and of a catalogue that is larger still a share of the items has any.
MAX_DISTILL_QUERIES = 500_000
_FEW_QUERIES = 4
#: Fields of the config that say where things lie or what is let pass, not what comes out.
_PLACES = (
    *("run", "engagements", "query_vectors", "image_root", "vocabulary", "image_encoder_folder"),
    *("text_encoder_folder", "device"),
)
_GATES = tuple(field.name for field in fields(LogThresholds))


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


@dataclass(frozen=True, kw_only=True)
class _Inputs:
    """What the stage reads, checked. files: of the engagements; query_vectors: of the shop's own, none without them.
    text_encoder, encoding: None where the features have no such vectors."""

    num_buckets: int
    features: dict[str, Any]
    vocabulary_folder: str
    files: Sequence[str]
    columns: ColumnsOfTable
    encoding: QueryEncoding | None
    text_encoder: TextEncoderSpec | None
    query_vectors: Sequence[str]


def plan(config: PairsConfig) -> PairsPlan:
    """Raises UsageError if the flags do not fit each other, the input or the features of the run."""
    _check_flags(config)
    inputs = _inputs(config)
    identity = fingerprint([CODE_VERSION, _settings(config), _identities(inputs)])
    query_table_folder = None
    if inputs.query_vectors:
        query_table_folder = str(table_folder(inputs.query_vectors, Path(config.run, QUERY_TABLE_FOLDER)))
    return PairsPlan(
        fingerprint=identity,
        slices=plan_slices(inputs.files),
        num_rows=count_rows(inputs.files),
        split=narrow(SplitConfig, config, kind=config.split),
        source=EngagementsSource(
            run=config.run,
            num_buckets=inputs.num_buckets,
            columns=inputs.columns,
            end_us=end_of_day_us(config.date, config.time_zone),
            fingerprint=identity,
        ),
        pair_rules=_pair_rules(config, inputs, query_table_folder),
        join_rules=_join_rules(config, inputs, query_table_folder, identity),
        encoding=inputs.encoding,
        hold_out=_hold_out_rules(config, inputs),
        query_vectors=inputs.query_vectors,
    )


def _check_flags(config: PairsConfig) -> None:
    if config.engagements is None and config.pseudo_queries == 0:
        raise UsageError("expected --engagements, --pseudo-queries or both, got neither: there would be no pairs")
    for name in ("pseudo_queries", "distill_queries", "max_pairs_per_item"):
        if getattr(config, name) < 0:
            raise UsageError(f"expected --{name.replace('_', '-')} >= 0, got {getattr(config, name)}")
    check_typo_share(config.typo_share)


def _inputs(config: PairsConfig) -> _Inputs:
    """Raises UsageError if they are not there, or do not fit the features of the run."""
    num_buckets = read_stage_manifest(config.run, "items")["num_buckets"]
    features = read_stage_manifest(config.run, "features")
    vocabulary = config.vocabulary or str(Path(config.run, "vocabulary"))
    _check_same("vocabulary_id", features, read_json(Path(vocabulary, DESCRIPTION_FILE))["id"], vocabulary)
    files = [] if config.engagements is None else expand_inputs(config.engagements, config.date)
    columns = ColumnsOfTable(table_columns(config.columns, "engagements"), files)
    check_columns(files, columns, ENGAGEMENTS)
    encoding = _query_encoding(config, features, num_buckets) if files else None
    text_encoder = _text_encoder(config, features)
    query_vectors = [] if config.query_vectors is None else expand_inputs(config.query_vectors, config.date)
    if query_vectors:
        check_query_vectors(query_vectors)
    return _Inputs(
        num_buckets=num_buckets,
        features=features,
        vocabulary_folder=vocabulary,
        files=files,
        columns=columns,
        encoding=encoding,
        text_encoder=text_encoder,
        query_vectors=query_vectors,
    )


def _settings(config: PairsConfig) -> dict[str, Any]:
    """The flags that what comes out depends on."""
    return {name: value for name, value in asdict(config).items() if name not in _PLACES + _GATES}


def _identities(inputs: _Inputs) -> list[Any]:
    """What the inputs are known by: other inputs, other identities."""
    features, text_encoder = inputs.features, inputs.text_encoder
    identities: list[Any] = [input_identity(inputs.files)]
    identities += [features["units"], features["vocabulary_id"], features["image_encoder_id"]]
    identities.append(None if text_encoder is None else text_encoder.encoder_id)
    if inputs.query_vectors:
        identities.append(table_source(inputs.query_vectors))
    return identities


def distillation_rules(queries: int, num_items: int) -> DistillationRules:
    """So many queries an item at most, and MAX_DISTILL_QUERIES of the catalogue.

    >>> distillation_rules(40, 10_000), distillation_rules(40, 50_000)
    (DistillationRules(queries=40, item_share=1.0), DistillationRules(queries=10, item_share=1.0))
    >>> distillation_rules(40, 1_250_000)
    DistillationRules(queries=4, item_share=0.1)
    """
    queries = min(queries, max(MAX_DISTILL_QUERIES // max(num_items, 1), _FEW_QUERIES))
    return DistillationRules(queries=queries, item_share=min(MAX_DISTILL_QUERIES / max(queries * num_items, 1), 1.0))


def _pair_rules(config: PairsConfig, inputs: _Inputs, query_table_folder: str | None) -> PairRules:
    num_items = inputs.features["counts"].get("items_written", 0)
    return PairRules(
        run=config.run,
        num_buckets=inputs.num_buckets,
        vocabulary_folder=inputs.vocabulary_folder,
        query_table_folder=query_table_folder,
        has_pictures=inputs.encoding is not None,
        pseudo_queries=config.pseudo_queries,
        typo_share=config.typo_share,
        distillation=distillation_rules(config.distill_queries, num_items),
        max_pairs_per_item=config.max_pairs_per_item,
        seed=config.seed,
    )


def _join_rules(config: PairsConfig, inputs: _Inputs, query_table_folder: str | None, identity: str) -> JoinRules:
    return JoinRules(
        run=config.run,
        num_buckets=inputs.num_buckets,
        vocabulary_folder=inputs.vocabulary_folder,
        text_encoder=inputs.text_encoder,
        query_table_folder=query_table_folder,
        frequencies=config.frequencies,
        seed=config.seed,
        fingerprint=identity,
    )


def _hold_out_rules(config: PairsConfig, inputs: _Inputs) -> HoldOutRules | None:
    """None if no log is split by whole queries and items."""
    if not inputs.files or config.split != "query_item":
        return None
    return HoldOutRules(
        run=config.run,
        num_buckets=inputs.num_buckets,
        image_root=None if inputs.encoding is None else _image_root(config),
        limits=limits_of(inputs.features),
    )


def _image_root(config: PairsConfig) -> str:
    return storage.real_path(config.image_root)


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
        image_root=_image_root(config),
        encoder_folder=folder,
        encoder_id=spec.encoder_id,
        device=config.device,
        num_units=num_buckets,
        limits=limits_of(features),
    )
