"""Judgements as grades of the run's items, by query."""

from collections import Counter

from pipelines.console.thresholds import LogThresholds
from pipelines.evaluate.evaluated_run import EvaluatedRun
from pipelines.gates.log import require_sound_log
from pipelines.log.rows import RejectedRows
from schemas.columns.spec import Columns
from schemas.errors import ThresholdError
from schemas.files import expand_inputs
from schemas.reading.rows import read_table
from schemas.tables import JUDGEMENTS
from schemas.validation.log import validate_judgements

#: query -> row of an item -> its grade.
Graded = dict[str, dict[int, float]]


def read_grades(
    evaluated: EvaluatedRun,
    judgements: str,
    date: str | None,
    columns: Columns,
    counts: Counter[str],
    thresholds: LogThresholds,
) -> Graded:
    """Grades of the run's items on search; other rows are counted. Raises ThresholdError if too many are rejected, or
    no grade is above 0."""
    graded: Graded = {}
    rejected_rows = RejectedRows()
    files = expand_inputs(judgements, date)
    for part, raw in read_table(files, columns, JUDGEMENTS):
        good, rejected, _ = validate_judgements(raw, part)
        rejected_rows.add(rejected)
        counts.update(rows_read=len(good) + len(rejected), rows_quarantined=len(rejected))
        for row in good.to_pylist():
            if row["surface"] != "search" or row["item_id"] not in evaluated.row_of:
                counts["rows_other_surface" if row["surface"] != "search" else "rows_item_unknown"] += 1
                continue
            graded.setdefault(row["query"], {})[evaluated.row_of[row["item_id"]]] = row["grade"]
    rows = rejected_rows.counts() | {"rows_read": counts["rows_read"]}
    require_sound_log(rows, thresholds, "the run is judged by it")
    if not any(any(grades.values()) for grades in graded.values()):
        raise ThresholdError(f"expected search judgements above 0 of items in the run, got none of {dict(counts)}")
    return graded
