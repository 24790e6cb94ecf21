"""`itemsage doctor`: before a run, whether machine, store, model and the shop's files are fit for it.

    itemsage doctor --config shop.toml --date 2026-06-30

Every flag is optional: what is not named is not checked. Changes nothing.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.items.manifest import read_model_manifest
from model.machine.number_formats import DTYPES
from model.pictures.faults import DEFAULT_LIMITS, PictureLimits
from model.pictures.image_encoder_spec import ImageEncoderSpec, image_encoder_spec, saved_image_encoder_spec
from pipelines.console.exit_codes import exit_code
from pipelines.console.jobs import flag, parse_alone
from pipelines.ingest.config import CATALOG_HELP, GROUP_ROWS_HELP
from pipelines.log.dated_log import DatedLog
from pipelines.operations.doctor.fields import warn_of_lost_columns
from pipelines.operations.doctor.inputs import (
    Inputs,
    check_input,
    check_mapping,
    check_pictures,
    first_rows,
    warn_of_zeros,
    whole_ids,
)
from pipelines.operations.doctor.kinds import warn_of_parts
from pipelines.operations.doctor.log import check_log_rows
from pipelines.operations.doctor.machine import (
    check_annoy,
    check_cores,
    check_device,
    check_disk,
    check_file_system,
    check_packages,
    check_text,
)
from pipelines.operations.doctor.sample import check_sample
from pipelines.operations.doctor.totals import warn_of_totals
from pipelines.operations.findings import Finding, brief, report
from pipelines.store import store
from pipelines.store.models import ITEM_MODELS
from schemas import storage
from schemas.errors import UsageError
from schemas.validation.grouping import GROUP_ROWS

EXAMPLE = "itemsage doctor --config shop.toml --date 2026-06-30"


@dataclass(frozen=True, kw_only=True)
class DoctorConfig(DatedLog):
    """Checks machine, store, model and inputs before a run, and puts some rows through every stage. Changes nothing."""

    catalog: str | None = flag(path=True, default=None, help=CATALOG_HELP)
    engagements: str | None = flag(path=True, default=None, help="engagements, likewise")
    image_root: str = flag(path=True, default=".", help="folder that relative picture paths start from")
    store: str | None = flag(path=True, default=None, help="store folder; it need not exist yet")
    date: str | None = flag(default=None, help="the day, YYYY-MM-DD, for {date}")
    model: str | None = flag(default=None, help="model id; default: the model trained last")
    image_encoder: str | None = flag(default=None, help="image encoder to train with, where the store has no model")
    image_weights: str | None = flag(path=True, default=None, help="its weights file")
    image_weights_name: str | None = flag(default=None, help="its torchvision entry")
    image_weights_sha256: str | None = flag(default=None, help="sha256 that the weights must have")
    image_dtype: str = flag(default="auto", choices=("auto", *DTYPES), help="number format of the image encoder")
    device: str = flag(default="auto", help="auto, cpu or cuda")
    max_picture_bytes: int = flag(default=DEFAULT_LIMITS.max_bytes, help="larger picture files are quarantined")
    max_picture_pixels: int = flag(default=DEFAULT_LIMITS.max_pixels, help="pictures of more pixels are quarantined")
    sample_rows: int = flag(default=50, help="rows of the catalogue to put through every stage")
    group_rows: str = flag(default="no", choices=GROUP_ROWS, help=GROUP_ROWS_HELP)
    json: bool = flag(default=False, help="print JSON")
    columns: dict[str, Any] = flag(default={}, help="our column name -> the shop's, from [columns] of the config file")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.date is not None:
            store.check_date(self.date)
        if self.sample_rows < 1:
            raise UsageError(f"expected --sample-rows of at least 1, got {self.sample_rows}")


@dataclass
class Model:
    """The store's model: its folder and manifest; None before the first training. spec: of its image encoder, or of the
    one that the flags name; None if neither is at hand."""

    folder: Path | None = None
    manifest: dict[str, Any] | None = None
    spec: ImageEncoderSpec | None = None


def diagnose(config: DoctorConfig) -> list[Finding]:
    """The findings, in the order in which they build on each other."""
    with storage.temporary_folder(prefix="itemsage-doctor-") as folder:
        return _diagnose(config, folder)


def _diagnose(config: DoctorConfig, folder: str) -> list[Finding]:
    """folder: for the pictures that are in the table."""
    findings = [check_packages(), check_text(), check_cores(), check_annoy()]
    model, weights = check_model(config)
    findings += [weights, check_device(config.device, model.spec)]
    inputs = _check_inputs(config, findings, folder)
    if config.store is not None:
        num_rows = inputs.num_rows if inputs else None
        dim = model.spec.dim if model.spec else 0
        findings += [check_file_system(Path(config.store)), check_disk(Path(config.store), num_rows, dim)]
    limits = PictureLimits(max_bytes=config.max_picture_bytes, max_pixels=config.max_picture_pixels)
    findings.append(check_pictures(inputs, config.image_root, model.spec, limits))
    if inputs is not None:
        findings.append(check_sample(inputs, config, model.folder))
    return findings


def check_model(config: DoctorConfig) -> tuple[Model, Finding]:
    """sha256 of every file of the store's model, or of the weights that the flags name."""
    finding = Finding("weights")
    model = Model()
    with finding.guard("the model or the weights"):
        has_model = config.store is not None and (config.model or ITEM_MODELS.has_current(config.store))
        if has_model:
            assert config.store is not None
            folder = ITEM_MODELS.folder(config.store, config.model or ITEM_MODELS.current(config.store))
            manifest = read_model_manifest(folder)
            for name in sorted(manifest["files"]):
                with finding.guard(f"the model's {name}"):
                    read_model_manifest(folder, check=[name])
            finding.looked_at = f"{manifest['model_id']}, {len(manifest['files'])} files"
            if not finding.problems:
                model = Model(folder, manifest)
                if manifest["picture_dim"]:
                    model.spec = saved_image_encoder_spec(folder / "image_encoder", config.device, config.image_dtype)
        elif config.image_encoder not in (None, "none"):
            flags = (config.image_encoder, config.image_weights, config.image_weights_name, config.image_weights_sha256)
            model.spec = image_encoder_spec(*flags, device=config.device, dtype=config.image_dtype)
            finding.looked_at = f"{model.spec.weights_file}, sha256 {model.spec.weights_sha256}"
        elif config.image_encoder == "none":
            finding.looked_at = "no image encoder, by --image-encoder none"
        else:
            finding.looked_at = "neither --store with a model nor --image-encoder"
        if config.store is not None and not has_model:
            finding.warn(f"no model in {config.store} yet: run `itemsage train` before the first `itemsage daily`")
    return model, finding


def _check_inputs(config: DoctorConfig, findings: list[Finding], folder: str) -> Inputs | None:
    """Adds the findings on inputs and columns; the first rows of the catalogue if they can be read."""
    found = Finding("inputs")
    findings.append(found)
    inputs, ids = None, None
    tables = (("catalogue", config.catalog), ("engagements", config.engagements))
    for table, spec in tables:
        if spec is None:
            continue
        files, num_rows = check_input(table, spec, config.date, found)
        if files:
            mapping = check_mapping(table, files, config.columns, config.group_rows)
            findings.append(mapping)
            if table == "catalogue":
                warn_of_lost_columns(config.store, files, config.columns, mapping)
            if table == "catalogue" and not mapping.problems:
                with mapping.guard("the first rows of the catalogue"):
                    warn_of_parts(files, config.columns, mapping)
                    warn_of_totals(files, config.columns, config.group_rows, mapping)
            if table == "catalogue" and not mapping.problems:
                inputs = first_rows(files, config.columns, num_rows, found, folder, config.group_rows)
                if inputs is not None:
                    with found.guard("the ids of the catalogue"):
                        ids = whole_ids(inputs, config.columns)
                        warn_of_zeros(inputs, ids, found)
            if table == "engagements" and not mapping.problems:
                zone, date = config.time_zone, config.date
                findings.append(check_log_rows(files, num_rows, config.columns, config, zone, ids, date))
    named = [f"{table} {brief(spec)}" for table, spec in tables if spec is not None]
    found.looked_at = found.looked_at or ", ".join(named) or "neither --catalog nor --engagements"
    return inputs


def run(config: DoctorConfig) -> int:
    """Prints the checklist; returns the exit code: what a run that meets the first problem would end with."""
    return report(diagnose(config), "this machine and what the flags name", config.json)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    return exit_code(lambda: run(parse_alone(DoctorConfig, arguments, "itemsage doctor", EXAMPLE)))
