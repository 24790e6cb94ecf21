"""What a run needs of the shop: inputs, columns, the first rows and their pictures."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from model.pictures.decoding import Preprocessing, decode_picture
from model.pictures.faults import PictureError, PictureLimits
from model.pictures.files import read_picture
from model.pictures.image_encoder_spec import ImageEncoderSpec
from model.pictures.root import PictureRoot
from pipelines.console.exit_codes import EXIT_THRESHOLD
from pipelines.features.plan import check_image_root
from pipelines.operations.findings import Finding, brief, cut_short
from pipelines.operations.inspected_run import sample_by_hash
from schemas import storage
from schemas.coercion.whole_ids import zeros_in_words
from schemas.columns.mapping import TABLES, catalogue_columns, catalogue_schema, offered_name, table_columns
from schemas.columns.named_options import with_names
from schemas.columns.nested_columns import root_of
from schemas.columns.spec import Columns, column_of
from schemas.files import expand_inputs
from schemas.pictures.stored import keep_picture
from schemas.quarantine import Rejection
from schemas.reading.input_files import (
    check_columns,
    count_rows,
    format_of,
    known_columns,
    relative_names,
    unusual_forms,
)
from schemas.reading.rows import mixed_ids, read_table, rows_with_ids
from schemas.reading.snapshots import catalogue_files
from schemas.reading.whole_ids import mixed_ids_in_words
from schemas.tables import LEAVE_OUT
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.grouping import resolve_rows
from schemas.validation.left_out_rows import ROWS_LEFT_OUT, without_left_out
from schemas.validation.unmet_texts import unmet_texts

MOST_PICTURES = 200
#: More rows of a catalogue are not read to know its ids.
MOST_ROWS_OF_IDS = 100_000
_MOST_NAMES = 12
#: What a picture is decoded to where no image encoder says it.
_SMALL = Preprocessing(resize_px=32, crop_px=32, interpolation="bilinear", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
#: How like ours the name of a column is that is asked about: `Titel` is, `Type` is no size_type.
_ALIKE = 0.7


@dataclass
class Inputs:
    """Files of the catalogue and their number of rows; the first rows, validated, what was rejected of them, and a
    folder that has the pictures which came in them, as a run has. num_left_out: of the first rows, beside `rows`; None
    where the mapping has no `leave_out`."""

    files: list[str]
    num_rows: int
    rows: pa.Table
    rejections: list[Rejection]
    folder: str
    group_rows: str = "no"
    num_left_out: int | None = None

    @property
    def num_read(self) -> int:
        """Rows that were looked at."""
        num_rejected = sum(rejection.level == "row" for rejection in self.rejections)
        return self.rows.num_rows + num_rejected + (self.num_left_out or 0)


def check_input(table: str, spec: str, date: str | None, finding: Finding) -> tuple[list[str], int]:
    """(files, rows) of an input; ([], 0), with a problem, if there are none or one is of no known format."""
    with finding.guard(f"the {table} {brief(spec)}"):
        files = (catalogue_files if table == "catalogue" else expand_inputs)(spec, date)
        for path in files:
            format_of(path)
        num_rows, forms = count_rows(files), unusual_forms(files)
        size = sum(storage.size_of(path) for path in files)
        finding.looked_at += (
            f"{', ' if finding.looked_at else ''}{table}: {len(files)} files, {num_rows:,} rows, {size:,} bytes"
            f"{f' ({forms})' if forms else ''}"
        )
        if num_rows == 0:
            finding.fail(f"expected rows in the {table} {brief(spec)}, got none: see the export", EXIT_THRESHOLD)
        return files, num_rows
    return [], 0


def check_mapping(table: str, files: Sequence[str], columns: Mapping[str, Any], group_rows: str = "no") -> Finding:
    """Which of our columns the files have, which are missing, which of theirs nobody reads, and what may be meant."""
    finding = Finding(f"columns of {table}")
    with finding.guard(f"the columns of {table}"):
        mapping, schema = table_columns(columns, table), TABLES[table]
        if table == "catalogue":
            mapping = catalogue_columns(columns, group_rows)
            schema = catalogue_schema(mapping)
        theirs = list(dict.fromkeys(name for path in files for name in known_columns(path)))
        sources = {name: column_of(with_names(mapping), name).source for name in schema.names}
        given = set[str]().union(*sources.values())
        roots = {name: root_of(name, theirs) or name for name in given}
        missing = [
            name for name, own in sources.items() if own and set(theirs).isdisjoint(roots[source] for source in own)
        ]
        used = set(roots.values())
        unused = [name for name in theirs if name not in used]
        finding.looked_at = (
            f"{len(schema.names) - len(missing)} of {len(schema.names)} are there; missing: {_shown(missing)}; "
            f"not read: {_shown(unused)}"
        )
        for name in missing:
            near = offered_name(name, sources[name][0], unused, schema, _ALIKE)
            if near is not None:
                section = "columns" if table == "catalogue" else f"columns.{table}"
                meant = brief(near)
                finding.warn(
                    f"{name} is missing; is it {meant}? then map it, in the config: [{section}] {name} = {meant}"
                )
        check_columns(files, mapping, schema)
        for unmet in unmet_texts(files, mapping):
            if unmet.is_likely_wrong:
                finding.warn(unmet.in_words)
            else:
                finding.looked_at += f"; {unmet.in_words}"
    return finding


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(brief(name).strip("'") for name in names[:_MOST_NAMES]) + more or "none"


def first_rows(
    files: Sequence[str],
    columns: Mapping[str, Any],
    num_rows: int,
    finding: Finding,
    folder: str,
    group_rows: str = "no",
) -> Inputs | None:
    """The first batch of the first slice that has rows, validated: enough to see what the whole will be like. One whose
    rows are all left out is read over. The pictures that are in it are written below the folder."""
    with finding.guard("the first rows of the catalogue"):
        mapping = catalogue_columns(columns, group_rows)
        schema, num_left_out = catalogue_schema(mapping), 0
        for file_slice, raw in read_table(files, mapping, schema):
            keep = partial(keep_picture, run=folder)
            good, rejections, counts = validate_catalogue(raw, file_slice, keep_picture=keep)
            rows, num_more = without_left_out(good, group_rows)
            num_left_out += num_more + counts[ROWS_LEFT_OUT]
            if rows.num_rows or rejections or not num_left_out:
                warn_of_mixed_ids(files, mapping, schema, counts, num_rows, finding)
                told = num_left_out if LEAVE_OUT.name in schema.names else None
                return Inputs(list(files), num_rows, rows, rejections, folder, group_rows, told)
        if num_left_out:
            finding.fail(
                f"expected rows that stay, got none: leave_out in [columns] leaves out all {num_left_out:,}: see "
                "whether its texts are those of products that customers do not see",
                EXIT_THRESHOLD,
            )
    return None


def warn_of_mixed_ids(
    files: Sequence[str],
    columns: Columns,
    schema: pa.Schema,
    counts: Mapping[str, int],
    num_rows: int,
    finding: Finding,
) -> None:
    """Adds a warning for each column whose ids are written in several ways, in the words of the jobs: of a table of
    more than MOST_ROWS_OF_IDS rows if the first of them, which have these counts, give cause."""
    if num_rows <= MOST_ROWS_OF_IDS:
        warnings = mixed_ids_in_words(files, columns, schema, rows_with_ids)
    else:
        warnings = mixed_ids(files, columns, schema, counts)
    for warning in warnings:
        finding.warn(warning)


def warn_of_zeros(inputs: Inputs, ids: Collection[str] | None, finding: Finding) -> None:
    """Adds a warning if ids differ from others by leading zeros alone. ids: what whole_ids returns; None: those of the
    first rows are looked at."""
    looked_at = inputs.rows["item_id"] if ids is None else pa.array(sorted(ids), pa.string())
    if told := zeros_in_words(looked_at):
        finding.warn(told)


def whole_ids(inputs: Inputs, columns: Mapping[str, Any]) -> set[str] | None:
    """The ids of all items; None of a catalogue of more than MOST_ROWS_OF_IDS rows."""
    mapping = catalogue_columns(columns, inputs.group_rows)
    good, num_rows = [], 0
    for file_slice, raw in read_table(inputs.files, mapping, catalogue_schema(mapping)):
        good.append(validate_catalogue(raw, file_slice)[0])
        num_rows += raw.num_rows
        if num_rows > MOST_ROWS_OF_IDS:
            return None
    items = resolve_rows(pa.concat_tables(good), relative_names(inputs.files), inputs.group_rows).items
    return set(items["item_id"].to_pylist())


def check_pictures(
    inputs: Inputs | None, image_root: str, spec: ImageEncoderSpec | None, limits: PictureLimits
) -> Finding:
    """How many of a sample of the first rows' pictures can be opened and decoded: as the image encoder does it, or
    without one as any would."""
    finding = Finding("pictures", f"the image root {brief(image_root)}")
    with finding.guard(finding.looked_at):
        check_image_root(image_root)
    if inputs is None or finding.problems:
        return finding
    if not inputs.rows.num_rows:
        finding.warn(f"not looked at: none of the first {inputs.num_read:,} rows is valid")
        return finding
    uris = list(dict.fromkeys(inputs.rows["images"].combine_chunks().flatten().to_pylist()))
    sample = [uris[place] for place in sample_by_hash(uris, MOST_PICTURES, "doctor")]
    if not sample:
        finding.looked_at = "the first rows list no picture"
        return finding
    faults: dict[str, list[PictureError]] = {}
    with finding.guard(finding.looked_at):
        root = PictureRoot.of(image_root, inputs.folder)
        for uri in sample:
            try:
                data = read_picture(root, uri, limits)
                decode_picture(data, _SMALL if spec is None else spec.preprocessing, limits)
            except PictureError as error:
                faults.setdefault(error.reason, []).append(error)
        bad = sum(map(len, faults.values()))
        finding.looked_at = f"{len(sample) - bad} of {len(sample)} can be opened under {brief(image_root)}"
        for reason, errors in sorted(faults.items()):
            first = errors[0]
            fault = f"expected {first.expected}, got {cut_short(first.got)}: {first.remedy}"
            text = f"{len(errors)} of {len(sample)} {reason}: {fault}"
            if bad == len(sample):
                finding.fail(text, EXIT_THRESHOLD)
            else:
                finding.warn(text)
    return finding
