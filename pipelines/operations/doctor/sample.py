"""A sample of the shop's rows that goes through every stage: what comes out, what is quarantined, and why."""

import contextlib
import dataclasses
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from model.text.vocabulary import Vocabulary
from pipelines.console.exit_codes import EXIT_THRESHOLD
from pipelines.console.jobs import beam_options
from pipelines.operations.doctor.inputs import Inputs
from pipelines.operations.findings import Finding, brief, cut_short
from pipelines.run.stage import RunCall, run_stage
from pipelines.stages import always, lines_of_day
from schemas import storage
from schemas.pictures.stored import stored_path
from schemas.quarantine import Rejection
from schemas.reading.input_files import relative_names
from schemas.tables import CATALOGUE, unreadable_cells
from schemas.validation.catalogue import catalogue_counts
from schemas.validation.grouping import resolve_rows
from schemas.validation.rules import REMEDIES

if TYPE_CHECKING:
    from pipelines.operations.doctor.job import DoctorConfig

#: Of the call: what the sample is not read with.
_ALREADY_READ: dict[str, Any] = {"date": None, "engagements": None, "group_rows": "no", "columns": {}}


def check_sample(inputs: Inputs, config: "DoctorConfig", model: Path | None) -> Finding:
    """The first rows through every stage, in a temporary folder; what is quarantined, and why. model: its folder, or
    None: then up to the features, or only through ingest if the call names no image encoder for pictures."""
    finding = Finding("sample")
    with finding.guard("the first rows on their way through the stages"):
        sample = inputs.rows.slice(0, config.sample_rows)
        resolved = resolve_rows(sample, relative_names(inputs.files), inputs.group_rows)
        rows, rejections = resolved.items, [*inputs.rejections, *resolved.rejections]
        reasons = Counter(rejection.reason for rejection in rejections)
        examples = {rejection.reason: rejection for rejection in rejections}
        if not rows.num_rows:
            finding.fail(_nothing_valid(rejections), EXIT_THRESHOLD)
            return finding
        with storage.temporary_folder(prefix="itemsage-doctor-") as folder:
            rows = _with_pictures(rows.select(CATALOGUE.names), inputs.folder)
            made = _run_stages(rows, Path(folder), config, model)
            quarantined = [
                row
                for path in storage.paths_in(folder, "run/quarantine/*.parquet")
                for row in pq.read_table(path).to_pylist()
            ]
        for row in quarantined:
            row.pop("run", None)
            reasons[row["reason"]] += 1
            examples.setdefault(row["reason"], Rejection(**row))
        got = [f"{stage} {number}" for stage, number in made.items()]
        left_out = "" if inputs.num_left_out is None else f" ({inputs.num_left_out:,} are left out by leave_out)"
        finding.looked_at = f"{sample.num_rows} of the first {inputs.num_read:,} rows{left_out} -> " + " -> ".join(got)
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
        f"{number} of the first {inputs.num_read:,} cells of {name} cannot be read, and are "
        f"left out: {REMEDIES['wrong_type']}, or export the table as UTF-8; what is in an object, or in one of several "
        f"languages, is named with dots (its column, a dot and en_US, for example)"
        for name, number in unreadable_cells(catalogue_counts(inputs.rows)).items()
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
        return {"bytes": None, "path": uri} if path is None else {"bytes": storage.bytes_of(Path(folder, path))}

    images = rows["images"].to_pylist()
    if not any(stored_path(uri) for uris in images for uri in uris):
        return rows
    kind = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    cells = pa.array([[struct(uri) for uri in uris] for uris in images], kind)
    return rows.set_column(rows.column_names.index("images"), "images", cells)


def _run_stages(rows: pa.Table, folder: Path, config: "DoctorConfig", model: Path | None) -> dict[str, int]:
    """What each stage of every day wrote. The stages' own output is left out: this is their rehearsal."""
    pq.write_table(rows, folder / "catalogue.parquet")
    if model is None:
        Vocabulary.hashing().save(folder / "run" / "vocabulary")
    sample: dict[str, Any] = {**_ALREADY_READ, "catalog": str(folder / "catalogue.parquet"), "store": str(folder)}
    call = RunCall(config=dataclasses.replace(config, **sample), run=str(folder / "run"), model=model)
    made: dict[str, int] = {}
    lines = [line for line in lines_of_day() if line.day is always and (model or line.training is always)]
    with contextlib.redirect_stdout(io.StringIO()):
        for line in lines:
            stage = line.load()
            counts = run_stage(stage.of_call(call), beam_options([]))["counts"]
            made[line.name] = counts.get(stage.makes, 0)
            if not made[line.name] or (counts.get("pictures_listed") and not (model or config.image_encoder)):
                break
    return made
