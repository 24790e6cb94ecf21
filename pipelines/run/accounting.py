"""The counts of a run, that they add up, and the lines that show it: nothing that came in is lost uncounted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.errors import CorruptFileError
from schemas.raw_rows import BLANK_ROWS

_KINDS = ("reused", "computed", "changed", "new", "yesterday", "gone")


def account(items: dict[str, int], features: dict[str, int], embeddings: dict[str, int]) -> dict[str, int]:
    """The counts that must add up, from the stages' counts. Raises CorruptFileError, with both sides, if they do not.

    rows read = published + collapsed + merged + quarantined (rows; those that are blank are not read, and counted
    beside them where there are any);
    pictures listed = computed + reused + quarantined + cut off;
    published = reused + computed;  computed = changed + new;  yesterday's = reused + changed + gone.
    """
    stages = (items, features, embeddings)
    cells = items.get("pictures_quarantined", 0)  # pictures of the table that their cells do not give
    counts = {
        "rows_read": items.get("rows_read", 0),
        "rows_published": embeddings.get("rows_written", 0),
        "rows_collapsed": items.get("rows_collapsed", 0),
        "rows_merged": items.get("rows_merged", 0),
        "rows_quarantined": sum(stage.get("rows_quarantined", 0) for stage in stages),
        "pictures_listed": items.get("pictures_listed", 0) + items.get("pictures_cut_off", 0) + cells,
        "pictures_cut_off": items.get("pictures_cut_off", 0),
        **{f"pictures_{name}": features.get(f"pictures_{name}", 0) for name in ("computed", "reused")},
        "pictures_quarantined": features.get("pictures_quarantined", 0) + cells,
        "pictures_read": features.get("pictures_read", 0),
        **{f"rows_{name}": embeddings.get(f"rows_{name}", 0) for name in _KINDS},
    }
    identities = {
        "rows_read": ("rows_published", "rows_collapsed", "rows_merged", "rows_quarantined"),
        "pictures_listed": ("pictures_computed", "pictures_reused", "pictures_quarantined", "pictures_cut_off"),
        "rows_published": ("rows_reused", "rows_computed"),
        "rows_computed": ("rows_changed", "rows_new"),
        "rows_yesterday": ("rows_reused", "rows_changed", "rows_gone"),
    }
    _check_sums(counts, identities)
    return counts | ({BLANK_ROWS: items[BLANK_ROWS]} if items.get(BLANK_ROWS) else {})


def account_users(users: dict[str, int]) -> dict[str, int]:
    """As `account`, from the counts of the users stage.

    actions read = used + skipped, each for one reason;
    users = reused + computed;  computed = changed + new;  yesterday's = reused + changed + gone.
    """
    left_out = (
        "quarantined",
        "after_date",
        "other_actions",
        "without_user",
        "too_old",
        "equal",
        "item_unknown",
        "over_cap",
    )
    counts = {
        "actions_read": users.get("rows_read", 0),
        "actions_used": users.get("rows_used", 0),
        **{f"actions_{name}": users.get(f"rows_{name}", 0) for name in left_out},
        "users": users.get("users_written", 0),
        **{f"users_{name}": users.get(f"users_{name}", 0) for name in (*_KINDS, "without_items")},
        "clusters": users.get("clusters_written", 0),
    }
    _check_sums(
        counts,
        {
            "actions_read": ("actions_used", *(f"actions_{name}" for name in left_out)),
            "users": ("users_reused", "users_computed"),
            "users_computed": ("users_changed", "users_new"),
            "users_yesterday": ("users_reused", "users_changed", "users_gone"),
        },
    )
    return counts


def not_compared(
    counts: Mapping[str, int], before: Mapping[str, int], users_before: Mapping[str, int]
) -> dict[str, int]:
    """How many of yesterday's rows and users no stage could compare, say for a damaged file: today's items of them
    count as new. counts: of `account` and `account_users`; before, users_before: of yesterday's own stages, empty where
    there are none."""
    found = {"rows_not_compared": max(0, before.get("rows_written", 0) - counts["rows_yesterday"])}
    if "users_yesterday" in counts:
        lacking = users_before.get("users_written", 0) - counts["users_yesterday"]
        found["users_not_compared"] = max(0, lacking)
    return found


def _check_sums(counts: dict[str, int], identities: dict[str, tuple[str, ...]]) -> None:
    for total, parts in identities.items():
        if counts[total] != sum(counts[part] for part in parts):
            got = ", ".join(f"{name} {counts[name]:,}" for name in (total, *parts))
            raise CorruptFileError(f"expected {total} = {' + '.join(parts)}, got {got}: nothing published")


_USERS_SUMMARY = (
    "users    today {users} = reused {users_reused} + computed {users_computed}; "
    "computed = changed {users_changed} + new {users_new}; {clusters} clusters of {actions_used} actions\n"
    "         yesterday {users_before} = reused {users_reused} + changed {users_changed} + gone {users_gone}"
    "{users_others}\n"
)


def summary(manifest: dict[str, Any], seconds: dict[str, float], run_folder: Path) -> str:
    """The few lines a person reads in the morning: what came in, and the proof that only what changed was computed.

    The figures satisfy, and `account` has checked: today = reused + computed; computed = changed + new;
    yesterday = reused + changed + gone (+ those that could not be compared, if any).
    """
    counts = {name: f"{count:,}" for name, count in manifest["counts"].items()}
    for kind in ("rows", "users"):
        others = manifest["counts"].get(f"{kind}_not_compared", 0)
        counts[f"{kind}_before"] = f"{manifest['counts'].get(f'{kind}_yesterday', 0) + others:,}"
        counts[f"{kind}_others"] = f" + not compared {others:,}" if others else ""
    merged = manifest["counts"].get("rows_merged", 0)
    counts["rows_merged_too"] = f" + merged {merged:,}" if merged else ""
    blank = manifest["counts"].get(BLANK_ROWS, 0)
    counts["blank_too"] = f"; {blank:,} blank rows are none" if blank else ""
    times = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    accepted = "".join(f"\naccepted {name}: {reason}" for name, reason in manifest["accepted"].items())
    return (
        "\nrows     read {rows_read} = published {rows_published} + collapsed {rows_collapsed}{rows_merged_too} + "
        "quarantined {rows_quarantined}{blank_too}\n"
        "pictures listed {pictures_listed} = computed {pictures_computed} + reused {pictures_reused} + quarantined "
        "{pictures_quarantined} + cut off {pictures_cut_off}; {pictures_read} read\n"
        "vectors  today {rows_published} = reused {rows_reused} + computed {rows_computed}; "
        "computed = changed {rows_changed} + new {rows_new}\n"
        "         yesterday {rows_before} = reused {rows_reused} + changed {rows_changed} + gone {rows_gone}"
        "{rows_others}\n" + (_USERS_SUMMARY if "users" in counts else "")
    ).format(**counts) + f"seconds  {times}\nwhere    {run_folder}{accepted}"
