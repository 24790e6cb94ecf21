"""What ingest says to a person: what one should know of items that are written, and why there are none."""

import sys
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.console.terminal import shortened
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.write_items import STAGE, ids_of_other_form
from pipelines.run.unit_files import quarantine_path
from schemas import storage
from schemas.columns.mapping import catalogue_columns, catalogue_schema
from schemas.columns.raw_rows import BLANK_ROWS, NONE_OF_TEXT, REPEATED_HEADERS
from schemas.columns.spec import Columns
from schemas.errors import ThresholdError
from schemas.files import expand_inputs
from schemas.quarantine import quote
from schemas.reading.cut_off_files import cut_off_in_words, num_cut_off
from schemas.reading.rows import mixed_ids
from schemas.validation.left_out_rows import ROWS_LEFT_OUT
from schemas.validation.rows_of_totals import LIKE_TOTALS, LOOKED_AT, likely_totals, totals_in_words
from schemas.validation.unmet_texts import unmet_texts

#: Ids in two Unicode forms that are named.
_NAMED_FORMS = 5
#: Characters of a cell that are shown.
_SHOWN_OF_CELL = 60


def print_warnings(config: IngestConfig, manifest: Mapping[str, Any], made_now: bool) -> None:
    """Prints what the manifest's counts, the items and the quarantine give cause for. made_now: whether this call made
    the items; else the inputs are not read."""
    counts, names = manifest["counts"], list(manifest["units"])
    columns = catalogue_columns(config.columns, config.group_rows)
    if num_partial := counts.get("ids_of_partial_rows"):
        _warn(
            f"{num_partial:,} ids have rows that complete each other; of each one row stays, the others are "
            "quarantined: --group-rows merge makes one item of them"
        )
    if num_files := num_cut_off(counts):
        _warn(cut_off_in_words(num_files, config.catalog))
    if made_now:
        files = expand_inputs(config.catalog, config.date)
        _tell_unmet_texts(files, columns)
        for warning in mixed_ids(files, columns, catalogue_schema(columns), counts):
            _warn(warning)
    if num_cells := counts.get("cells_quarantined"):
        _warn(cells_in_words(config.run, names, num_cells))
    if counts.get(LIKE_TOTALS):
        _warn(totals_of_run_in_words(config.run, names, columns))
    if counts.get("ids_not_nfc") and (told := forms_in_words(config.run, names)):
        print(f"{STAGE}: WARNING: {told}", flush=True)


def _warn(warning: str) -> None:
    print(f"{STAGE}: WARNING: {warning}", file=sys.stderr, flush=True)


def _tell_unmet_texts(files: Sequence[str], columns: Columns) -> None:
    """Prints the texts of `leave_out` that no row has; a warning is one that is likely misspelt."""
    for unmet in unmet_texts(files, columns):
        if unmet.is_likely_wrong:
            _warn(unmet.in_words)
        else:
            print(f"{STAGE}: {unmet.in_words}", flush=True)


def cells_in_words(run: str, unit_names: Sequence[str], num_rows: int) -> str:
    """What became of rows with a cell that is not UTF-8, with one of them. num_rows: how many there are."""
    paths = [f"{run}/{quarantine_path(STAGE, name)}" for name in unit_names]
    tables = (pq.read_table(path, filters=[("level", "=", "cell")]) for path in paths if storage.has_file(path))
    (first,) = next(table for table in tables if table.num_rows).slice(0, 1).to_pylist()
    got = shortened(first["got"], _SHOWN_OF_CELL)
    return (
        f"{num_rows:,} rows stay without a cell that cannot be read; the quarantine has each. Of one, "
        f"{first['where']}: expected {first['expected']}, got {got}: {first['remedy']}"
    )


def totals_of_run_in_words(run: str, unit_names: Sequence[str], columns: Columns) -> str:
    """The items of the run that are most likely rows of totals or lines below the table, and what leaves them
    out; "" without any."""
    tables = [pq.read_table(path, columns=list(LOOKED_AT)) for path in _item_files(run, unit_names)]
    return totals_in_words(pa.concat_tables([likely_totals(table) for table in tables]), columns)


def forms_in_words(run: str, unit_names: Sequence[str]) -> str:
    """The ids of the run that are there in two Unicode forms, and what to do; "" without any."""
    tables = [pq.read_table(path, columns=["item_id"]) for path in _item_files(run, unit_names)]
    twice = ids_in_two_forms(pa.concat_tables(tables)["item_id"])
    if not twice:
        return ""
    named = ", ".join(map(quote, twice[:_NAMED_FORMS]))
    return (
        f"{len(twice):,} ids are there in two Unicode forms, as two items: {named}; write the ids in one form in the "
        "export"
    )


def _item_files(run: str, unit_names: Sequence[str]) -> list[str]:
    return [f"{run}/{STAGE}/{name}.parquet" for name in unit_names]


def ids_in_two_forms(ids: pa.ChunkedArray) -> list[str]:
    """The composed form of ids that are there in another form, too: to a person they are one.

    >>> ids_in_two_forms(pa.chunked_array([["cafe\\u0301", "caf\\u00e9", "a"]])) == ["caf\\u00e9"]
    True
    """
    composed = {unicodedata.normalize("NFC", item_id) for item_id in ids_of_other_form(ids)}
    twice = ids.filter(pc.is_in(ids, value_set=pa.array(sorted(composed), pa.string())))
    return sorted(twice.to_pylist())


def check_some_valid(counts: Counter[str], catalog: str, run: str) -> None:
    """Raises ThresholdError if no row is valid. counts: of all units of the stage; run: its folder, whose quarantine
    says why."""
    if not (counts["rows_written"] or counts["rows_read"] or any(counts[name] for name in NONE_OF_TEXT)):
        raise ThresholdError(
            f"expected at least one valid row, got none: {catalog} has no rows: see whether its export is "
            "whole. Nothing is published: readers see what they saw before"
        )
    if counts["rows_read"] and counts[ROWS_LEFT_OUT] == counts["rows_read"]:
        raise ThresholdError(
            f"expected at least one row that stays, got none: leave_out in [columns] of the config file leaves out all "
            f"{counts[ROWS_LEFT_OUT]:,} of {catalog}. To do: see whether its texts are those of products that "
            "customers do not see, and whether the export has any others. Nothing is published: readers see what they "
            "saw before"
        )
    if counts["rows_written"] == 0:
        reasons = {name.removeprefix("reason:"): n for name, n in sorted(counts.items()) if name.startswith("reason:")}
        others = (
            (ROWS_LEFT_OUT, "are left out by leave_out"),
            (BLANK_ROWS, "are blank"),
            (REPEATED_HEADERS, "repeat the header"),
        )
        told_others = [f"{counts[name]:,} {what}" for name, what in others if counts[name]]
        why = ", ".join([*(f"{count:,} {name}" for name, count in reasons.items()), *told_others]) or "there is none"
        raise ThresholdError(
            f"expected at least one valid row, got none of {counts['rows_read']:,} in {catalog} ({why}). To do: "
            f"see reason and remedy of each row in {run}/quarantine; null ids often mean that [columns] of the "
            "config file names another column. Nothing is published: readers see what they saw before"
        )
