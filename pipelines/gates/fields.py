"""The gate that sees a renamed or emptied column: the share of rows in which each text field is filled.

Coverage of text as a whole does not see it: an item that has lost its title still has a brand.
"""

from collections.abc import Mapping

from pipelines.console.thresholds import GateThresholds
from pipelines.gates.counts import YESTERDAY
from pipelines.gates.results import GateResult, judged, number, rounded, skipped
from schemas.tables import TEXT_FIELDS

NAME = "coverage_fields"


def field_count(name: str) -> str:
    """The count of the items stage that says in how many rows a text field is filled."""
    return f"field:{name}"


def check_fields(
    today: Mapping[str, int],
    yesterday: Mapping[str, int],
    thresholds: GateThresholds,
    before: str = YESTERDAY,
) -> GateResult:
    """The largest drop of a field's share of filled rows, from counts of both days' items stage. before: what
    `yesterday` is called.

    Skipped if yesterday did not count fields.
    """
    rows = today.get("rows_written", 0), yesterday.get("rows_written", 0)
    if not all(rows) or not any(field_count(name) in yesterday for name in TEXT_FIELDS):
        return skipped(NAME, "not compared: the run before did not count the rows in which a field is filled")
    drops = {}
    for name in TEXT_FIELDS:
        have = today.get(field_count(name), 0), yesterday.get(field_count(name), 0)
        shares = [rounded(count / total) for count, total in zip(have, rows, strict=True)]
        drops[name] = rounded(shares[1] - shares[0]), shares
    limit = thresholds.max_coverage_drop
    fallen = [name for name in TEXT_FIELDS if drops[name][0] > limit]
    worst = max(TEXT_FIELDS, key=lambda name: drops[name][0])
    shown = ", ".join(
        f"{name} is filled in {number(share)} of the rows, {before} in {number(earlier)}"
        for name, (_, (share, earlier)) in ((name, drops[name]) for name in fallen or [worst])
    )
    message = f"{shown}: expected a drop of at most {number(limit)}"
    return judged(NAME, not fallen, message, value=max(drops[worst][0], 0.0), threshold=limit)
