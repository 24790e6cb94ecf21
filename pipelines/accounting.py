"""The counts of a run, that they add up, and the lines that show it: nothing that came in is lost uncounted."""

from pathlib import Path
from typing import Any

from schemas.errors import CorruptFileError

_KINDS = ("reused", "computed", "changed", "new", "yesterday", "gone")


def account(items: dict[str, int], features: dict[str, int], embeddings: dict[str, int]) -> dict[str, int]:
    """The counts that must add up, from the stages' counts. Raises CorruptFileError, with both sides, if they do not.

    rows read = published + collapsed + quarantined (rows);
    pictures listed = computed + reused + quarantined + cut off;
    published = reused + computed;  computed = changed + new;  yesterday's = reused + changed + gone.
    """
    stages = (items, features, embeddings)
    counts = {
        "rows_read": items.get("rows_read", 0),
        "rows_published": embeddings.get("rows_written", 0),
        "rows_collapsed": items.get("rows_collapsed", 0),
        "rows_quarantined": sum(stage.get("rows_quarantined", 0) for stage in stages),
        "pictures_listed": items.get("pictures_listed", 0) + items.get("pictures_cut_off", 0),
        "pictures_cut_off": items.get("pictures_cut_off", 0),
        **{f"pictures_{name}": features.get(f"pictures_{name}", 0) for name in ("computed", "reused", "quarantined")},
        "pictures_read": features.get("pictures_read", 0),
        **{f"rows_{name}": embeddings.get(f"rows_{name}", 0) for name in _KINDS},
    }
    identities = {
        "rows_read": ("rows_published", "rows_collapsed", "rows_quarantined"),
        "pictures_listed": ("pictures_computed", "pictures_reused", "pictures_quarantined", "pictures_cut_off"),
        "rows_published": ("rows_reused", "rows_computed"),
        "rows_computed": ("rows_changed", "rows_new"),
        "rows_yesterday": ("rows_reused", "rows_changed", "rows_gone"),
    }
    _check_sums(counts, identities)
    return counts


def account_users(users: dict[str, int]) -> dict[str, int]:
    """As `account`, from the counts of the users stage.

    actions read = used + skipped, each for one reason;
    users = reused + computed;  computed = changed + new;  yesterday's = reused + changed + gone.
    """
    left_out = ("quarantined", "other_actions", "without_user", "in_future", "too_old", "item_unknown", "over_cap")
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


def _check_sums(counts: dict[str, int], identities: dict[str, tuple[str, ...]]) -> None:
    for total, parts in identities.items():
        if counts[total] != sum(counts[part] for part in parts):
            got = ", ".join(f"{name} {counts[name]:,}" for name in (total, *parts))
            raise CorruptFileError(f"expected {total} = {' + '.join(parts)}, got {got}: nothing published")


_USERS_SUMMARY = (
    "users    today {users} = reused {users_reused} + computed {users_computed}; "
    "computed = changed {users_changed} + new {users_new}; {clusters} clusters of {actions_used} actions\n"
    "         yesterday {users_yesterday} = reused {users_reused} + changed {users_changed} + gone {users_gone}\n"
)


def summary(manifest: dict[str, Any], seconds: dict[str, float], run_folder: Path) -> str:
    """The few lines a person reads in the morning: what came in, and the proof that only what changed was computed.

    The figures satisfy, and `account` has checked: today = reused + computed; computed = changed + new;
    yesterday = reused + changed + gone.
    """
    counts = {name: f"{count:,}" for name, count in manifest["counts"].items()}
    times = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    accepted = "".join(f"\naccepted {name}: {reason}" for name, reason in manifest["accepted"].items())
    return (
        "\nrows     read {rows_read} = published {rows_published} + collapsed {rows_collapsed} + quarantined "
        "{rows_quarantined}\n"
        "pictures listed {pictures_listed} = computed {pictures_computed} + reused {pictures_reused} + quarantined "
        "{pictures_quarantined} + cut off {pictures_cut_off}; {pictures_read} read\n"
        "vectors  today {rows_published} = reused {rows_reused} + computed {rows_computed}; "
        "computed = changed {rows_changed} + new {rows_new}\n"
        "         yesterday {rows_yesterday} = reused {rows_reused} + changed {rows_changed} + gone {rows_gone}\n"
        + (_USERS_SUMMARY if "users" in counts else "")
    ).format(**counts) + f"seconds  {times}\nwhere    {run_folder}{accepted}"
