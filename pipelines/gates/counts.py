"""Gates that need counts alone: pure functions from numbers to results."""

import math
from collections.abc import Mapping
from dataclasses import replace

from pipelines.console.thresholds import GateThresholds
from pipelines.gates.respelt_users import respelt_in_words
from pipelines.gates.results import FAILED, PASSED, GateResult, at_least, judged, number, rounded, skipped
from schemas.reading.cut_off_files import CUT_OFF_FILE, cut_off_in_words, num_cut_off
from schemas.tables import unreadable_cells
from schemas.validation.left_out_rows import ROWS_LEFT_OUT
from schemas.validation.rules import REMEDIES

#: What the two days of a comparison are called: the run before, and on the first day the model's training.
YESTERDAY, IN_TRAINING = "yesterday", "when the model was trained"
#: What to do where users are missing only under the names that they had.
_RESPELT = (
    "write user_id as yesterday's log did; of ids such as 100.0 the config says what they are: [columns.engagements] "
    'user_id = {source = "your column", whole = true} makes 100 of 100.0, whole = false leaves it; if they are to be '
    "called so from now on, accept it once"
)
#: Stages whose counts tell how many items have text, pictures and each field.
COVERED_STAGES = ("items", "features")


def check_row_count(
    today_counts: Mapping[str, int],
    yesterday_counts: Mapping[str, int],
    thresholds: GateThresholds,
    left_out: tuple[int, int] = (0, 0),
) -> GateResult:
    """Rows published, from counts of both days' embeddings stage. `threshold` is the bound on the side of the change.
    Skipped if yesterday did not count them. left_out: how many rows of the catalogue `leave_out` left out today and
    yesterday, which is told where it is not the same: rows that are left out are missing for readers, too."""
    if "rows_written" not in yesterday_counts:
        return skipped("row_count", "not compared: the run before did not count rows_written")
    today, yesterday = today_counts.get("rows_written", 0), yesterday_counts["rows_written"]
    fewest = math.ceil(rounded((1 - thresholds.max_row_drop) * yesterday))
    most = math.floor(rounded((1 + thresholds.max_row_growth) * yesterday))
    others = f"; leave_out leaves out {left_out[0]:,} rows, yesterday {left_out[1]:,}"
    result = judged(
        "row_count",
        fewest <= today <= most,
        f"{today:,} rows are to be published, yesterday {yesterday:,}: expected {number(fewest)} to {number(most)}"
        + (others if left_out[0] != left_out[1] else ""),
        value=today,
        baseline=yesterday,
        threshold=fewest if today <= yesterday else most,
    )
    if result.status != FAILED or left_out[0] == left_out[1]:
        return result
    remedy = f"where leave_out of [columns] was changed, accept it this once, with its reason; else {result.remedy}"
    return replace(result, remedy=remedy)


def check_users_count(
    today: Mapping[str, int] | None,
    yesterday: Mapping[str, int] | None,
    thresholds: GateThresholds,
    respelt: Mapping[str, str] | None = None,
) -> GateResult:
    """Users with clusters, from counts of both days' users stage (None: the run has no users). Readers who had users
    yesterday must not find none: a run without the stage counts as one of nobody. respelt: users of yesterday whom
    today calls otherwise (see respelt_users): nobody who asks for them finds them, so they do not count today."""
    if yesterday is None:
        return skipped("users_count", "not compared: the run before has no users")
    now, before = (today or {}).get("users_written", 0), yesterday.get("users_written", 0)
    fewest = math.ceil(rounded((1 - thresholds.max_users_drop) * before))
    made = "" if today is not None else " (the stage did not run: --engagements is missing, or --no-users was given)"
    others = f"; {respelt_in_words(respelt)}" if respelt else ""
    found = max(now - len({*(respelt or {}).values()}), 0)
    result = judged(
        "users_count",
        found >= fewest,
        f"{now:,} users have clusters, yesterday {before:,}: expected at least {number(fewest)}{made}{others}",
        value=found,
        baseline=before,
        threshold=fewest,
    )
    return replace(result, remedy=_RESPELT) if found < fewest <= now else result


def check_coverage(
    part: str,
    today: Mapping[str, int],
    yesterday: Mapping[str, int],
    thresholds: GateThresholds,
    before: str = YESTERDAY,
) -> GateResult:
    """Share of items with text ("text") or a picture ("pictures"), from counts of both days' features stage. before:
    what `yesterday` is called.

    Skipped if yesterday did not count it. If only today did not, nothing has it: a renamed column looks like that.
    """
    name, what, key = {
        "text": ("coverage_text", "text", "items_with_text"),
        "pictures": ("coverage_pictures", "a picture", "items_with_picture"),
    }[part]
    if key not in yesterday:
        return skipped(name, f"not compared: the run before did not count {key}")
    have = today.get(key, 0), yesterday[key]
    items = today.get("items_written", 0), yesterday.get("items_written", 0)
    if not all(items):
        return skipped(name, f"not compared: {items[0]:,} items with features today, {before} {items[1]:,}")
    share, earlier = (rounded(count / total) for count, total in zip(have, items, strict=True))
    least = rounded(earlier - thresholds.max_coverage_drop)
    return judged(
        name,
        at_least(share, least),
        f"{have[0]:,} of {items[0]:,} items have {what} ({number(share)}), {before} {have[1]:,} of {items[1]:,} "
        f"({number(earlier)}): expected at least {number(max(least, 0.0))}",
        value=share,
        baseline=earlier,
        threshold=max(least, 0.0),
    )


def check_quarantine(
    items: Mapping[str, int],
    features: Mapping[str, int] | None,
    embeddings: Mapping[str, int] | None,
    thresholds: GateThresholds,
) -> list[GateResult]:
    """Shares of rows (of those that are not left out) and of pictures that were rejected, from the counts of the stages
    that are finished. A field whose cells cannot be read fails quarantine_rows as rejected rows do: its rows have
    stayed, without it. So does a file that ends within a row: how much of it is missing nobody knows.

    Pictures are judged once the features stage has counted them. A few rejections (below min_quarantined) pass
    whatever their share: a tiny catalogue with one bad row is no broken one.
    """
    rows = sum(counts.get("rows_quarantined", 0) for counts in (items, features, embeddings) if counts is not None)
    most, spared = thresholds.max_quarantined_rows, thresholds.min_quarantined
    num_left_out = items.get(ROWS_LEFT_OUT, 0)
    results = [check_share("quarantine_rows", "rows", rows, items.get("rows_read", 0) - num_left_out, most, spared)]
    if num_left_out:
        formula = results[0].formula.replace("rows read", "(rows read - rows left out)", 1)
        results[0] = replace(results[0], formula=formula)
    unreadable = unreadable_cells(items)
    if unreadable and results[0].status == PASSED:
        worst = max(sorted(unreadable), key=lambda name: unreadable[name])
        cells = check_share(
            "quarantine_rows",
            f"cells of {worst}",
            unreadable[worst],
            items.get("rows_written", 0),
            most,
            spared,
            REMEDIES["wrong_type"],
            "cannot be read",
        )
        results = [cells] if cells.status == FAILED else results
    if num_files := num_cut_off(items):
        results = [_cut_off(num_files, results[0])]
    if features is not None:
        in_cells = items.get("pictures_quarantined", 0)  # of the table, which their cells do not give
        rejected = features.get("pictures_quarantined", 0) + in_cells
        listed = features.get("pictures_listed", 0) + in_cells
        most = thresholds.max_quarantined_pictures
        results.append(check_share("quarantine_pictures", "pictures", rejected, listed, most, spared))
    return results


def _cut_off(num_files: int, of_rows: GateResult) -> GateResult:
    """The gate quarantine_rows of files that end within a row; of_rows: what it says of the rows that are there."""
    message = f"{cut_off_in_words(num_files, 'the catalogue')}; {of_rows.message}"
    return replace(of_rows, status=FAILED, message=message, remedy=REMEDIES[CUT_OFF_FILE])


def check_share(
    name: str,
    what: str,
    rejected: int,
    total: int,
    most: float,
    spared: int,
    why: str = "",
    is_bad: str = "are quarantined",
) -> GateResult:
    """The gate `name` on the share of rejections, at most `most`; fewer than `spared` pass, unless they are all there
    are. why: ends the message of a failure; is_bad: how the message says what became of them."""
    share = rounded(rejected / max(1, total))
    few = rejected < spared
    passed = (few or at_least(most, share)) and (rejected < total or not rejected)
    let_pass = f" (fewer than {spared} are let pass)" if few and passed else ""
    return judged(
        name,
        passed,
        f"{rejected:,} of {total:,} {what} {is_bad} ({number(share)}): expected at most {number(most)}"
        + (", and never all" if rejected >= total > 0 else let_pass)
        + (f"; {why}" if why and not passed else ""),
        value=share,
        threshold=most,
    )
