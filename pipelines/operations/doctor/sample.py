"""A sample of the shop's rows that goes through every stage: what comes out, what is quarantined, and why."""

import contextlib
import io
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from model.pictures.decoding import PictureLimits
from model.text.vocabulary import Vocabulary
from pipelines.console.exit_codes import EXIT_THRESHOLD
from pipelines.console.jobs import beam_options
from pipelines.embed import job as embed
from pipelines.features import job as features
from pipelines.index import job as index
from pipelines.ingest import job as ingest
from pipelines.operations.doctor.inputs import Inputs
from pipelines.operations.findings import Finding, brief, cut_short
from schemas.catalogue_validation import catalogue_counts
from schemas.grouping import resolve_rows
from schemas.quarantine import Rejection
from schemas.reading import relative_names
from schemas.stored_pictures import stored_path
from schemas.tables import CATALOGUE, UNREADABLE
from schemas.validation import REMEDIES


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """What the sample of rows is put through. model: a model folder, or None: then up to the features, with `spec`'s
    flags in `encoder`, or only ingest without them."""

    image_root: str
    model: Path | None
    has_pictures: bool
    encoder: Mapping[str, Any]
    device: str
    image_dtype: str
    limits: PictureLimits


def check_sample(inputs: Inputs, count: int, settings: SampleSettings) -> Finding:
    """The first `count` rows through every stage, in a temporary folder; what is quarantined, and why."""
    finding = Finding("sample")
    with finding.guard("the first rows on their way through the stages"):
        sample = inputs.rows.slice(0, count)
        resolved = resolve_rows(sample, relative_names(inputs.files), inputs.group_rows)
        rows, rejections = resolved.items, [*inputs.rejections, *resolved.rejections]
        reasons = Counter(rejection.reason for rejection in rejections)
        examples = {rejection.reason: rejection for rejection in rejections}
        if not rows.num_rows:
            finding.fail(_nothing_valid(rejections), EXIT_THRESHOLD)
            return finding
        with tempfile.TemporaryDirectory(prefix="itemsage-doctor-") as folder:
            rows = _with_pictures(rows.select(CATALOGUE.names), inputs.folder)
            made = _run_stages(rows, Path(folder), settings)
            quarantined = [
                row
                for path in sorted(Path(folder).glob("run/quarantine/*.parquet"))
                for row in pq.read_table(path).to_pylist()
            ]
        for row in quarantined:
            row.pop("run", None)
            reasons[row["reason"]] += 1
            examples.setdefault(row["reason"], Rejection(**row))
        got = [f"{stage} {number}" for stage, number in made.items()]
        finding.looked_at = f"{sample.num_rows} of the first {inputs.num_read:,} rows -> " + " -> ".join(got)
        for warning in (*_unreadable_cells(inputs), *_rejected(reasons, examples)):
            finding.warn(warning)
        if not all(made.values()):
            finding.fail(
                f"expected something out of every stage, got {', '.join(got)}: see the reasons", EXIT_THRESHOLD
            )
    return finding


def _unreadable_cells(inputs: Inputs) -> list[str]:
    """A warning for each field with cells that are left out."""
    return [
        f"{number} of the first {inputs.num_read:,} cells of {name.removeprefix(UNREADABLE)} cannot be read, and are "
        f"left out: {REMEDIES['wrong_type']}, or export the table as UTF-8"
        for name, number in catalogue_counts(inputs.rows).items()
        if name.startswith(UNREADABLE)
    ]


def _rejected(reasons: Mapping[str, int], examples: Mapping[str, Rejection]) -> list[str]:
    """For each reason how many, and one of them."""
    return [f"{number} {reason}: {_fault_of(examples[reason])}" for reason, number in sorted(reasons.items())]


def _nothing_valid(rejections: Sequence[Rejection]) -> str:
    """The problem of a catalogue that begins with rejected rows alone: how many for which reason, one of each."""
    reasons = Counter(rejection.reason for rejection in rejections)
    examples = {rejection.reason: rejection for rejection in reversed(rejections)}
    got = "; ".join(_rejected(reasons, examples))
    return f"expected valid rows at the beginning of the catalogue, got {got or 'no row'}"


def _fault_of(rejection: Rejection) -> str:
    where = f"item {brief(rejection.item_id)}, {brief(rejection.where)}"
    return f"expected {rejection.expected}, got {cut_short(rejection.got)} ({where}): {rejection.remedy}"


def _with_pictures(rows: pa.Table, folder: str) -> pa.Table:
    """The rows as they came: pictures of the table, which lie below the folder, in their cells."""

    def struct(uri: str) -> dict[str, Any]:
        path = stored_path(uri)
        return {"bytes": None, "path": uri} if path is None else {"bytes": Path(folder, path).read_bytes()}

    images = rows["images"].to_pylist()
    if not any(stored_path(uri) for uris in images for uri in uris):
        return rows
    kind = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    cells = pa.array([[struct(uri) for uri in uris] for uris in images], kind)
    return rows.set_column(rows.column_names.index("images"), "images", cells)


def _run_stages(rows: pa.Table, folder: Path, settings: SampleSettings) -> dict[str, int]:
    """What each stage wrote. The stages' own output is left out: this is their rehearsal."""
    run, options = str(folder / "run"), beam_options([])
    pq.write_table(rows, folder / "catalogue.parquet")
    with contextlib.redirect_stdout(io.StringIO()):
        counts = ingest.run(ingest.IngestConfig(run=run, catalog=str(folder / "catalogue.parquet")), options)["counts"]
        made = {"items": counts["rows_written"]}
        encoder = dict(settings.encoder)
        if settings.model is not None:
            vocabulary = settings.model / "vocabulary"
            encoder = {"image_encoder_folder": str(settings.model / "image_encoder")}
            encoder = encoder if settings.has_pictures else {"image_encoder": "none"}
            if (settings.model / "text_encoder").is_dir():
                encoder["text_encoder_folder"] = str(settings.model / "text_encoder")
        else:
            vocabulary = folder / "vocabulary"
            Vocabulary.hashing().save(vocabulary)
            if counts["pictures_listed"] and not encoder.get("image_encoder"):
                return made
        config = features.FeaturesConfig(
            run=run,
            image_root=settings.image_root,
            vocabulary=str(vocabulary),
            device=settings.device,
            image_dtype=settings.image_dtype,
            max_picture_bytes=settings.limits.max_bytes,
            max_picture_pixels=settings.limits.max_pixels,
            **encoder,
        )
        made["features"] = features.run(config, options)["counts"]["items_written"]
        if settings.model is not None and made["features"]:
            embedded = embed.run(embed.EmbedConfig(run=run, model=str(settings.model)), options)
            made["embeddings"] = embedded["counts"]["rows_written"]
            made["index"] = index.run(index.IndexConfig(run=run), options)["n_items"]
    return made
