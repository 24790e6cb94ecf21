"""The counts of a run, that they add up, and the lines that show it: nothing that came in is lost uncounted.

Which counts, which sums and which lines, each stage says (pipelines.run.stage.Stage: account, identities, told).
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.stages import lines_of_day
from schemas.errors import CorruptFileError

if TYPE_CHECKING:
    from pipelines.run.stage import Stage

_KINDS = ("reused", "computed", "changed", "new", "yesterday", "gone")


def account(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """The counts that must add up, from those of a day's stages; one that a stage has only where there is anything is 0
    without. Raises CorruptFileError, with both sides, if they do not."""
    stages = _stages_of(counts)
    found = {name: count for stage in stages for name, count in stage.account(counts).items()}
    for identity in (identity for stage in stages for identity in stage.identities):
        total, *parts = re.split(r" [=+] ", identity)
        if found[total] != sum(found.get(part, 0) for part in parts):
            got = ", ".join(f"{name} {found.get(name, 0):,}" for name in (total, *parts))
            raise CorruptFileError(f"expected {identity}, got {got}: nothing published")
    return found


def not_compared(counts: Mapping[str, int], before: Callable[[str], Mapping[str, int]]) -> dict[str, int]:
    """How many of yesterday's rows and users no stage could compare, say for a damaged file: today's items of them
    count as new. counts: of `account`; before: those of a stage of yesterday, empty where there are none."""
    kinds = {stage.compared: stage.name for stage in _stages_of() if f"{stage.compared}_yesterday" in counts}
    return {
        f"{kind}_not_compared": max(0, before(stage).get(f"{kind}_written", 0) - counts[f"{kind}_yesterday"])
        for kind, stage in kinds.items()
    }


def kinds_of(kind: str, counts: Mapping[str, int]) -> dict[str, int]:
    """Of a stage's counts those that tell what became of its rows, or its users, since yesterday."""
    return {f"{kind}_{name}": counts.get(f"{kind}_{name}", 0) for name in _KINDS}


def today_and_yesterday(noun: str, today: str, kind: str, counts: Mapping[str, int], more: str = "") -> str:
    """The two lines on what was reused and what computed. today: the count of all; more: the end of the first line."""
    of = {name: f"{name} {counts[f'{kind}_{name}']:,}" for name in _KINDS}
    others = counts.get(f"{kind}_not_compared", 0)
    told_others = f" + not compared {others:,}" if others else ""
    return (
        f"{noun:<8} today {counts[today]:,} = {of['reused']} + {of['computed']}; computed = {of['changed']} + "
        f"{of['new']}{more}\n         yesterday {counts[f'{kind}_yesterday'] + others:,} = {of['reused']} + "
        f"{of['changed']} + {of['gone']}{told_others}\n"
    )


def summary(manifest: dict[str, Any], seconds: dict[str, float], run_folder: Path) -> str:
    """The few lines a person reads in the morning: what came in, and the proof that only what changed was computed.
    `account` has checked that the figures add up."""
    told = "".join(stage.told(manifest["counts"]) for stage in _stages_of())
    times = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    accepted = "".join(f"\naccepted {name}: {reason}" for name, reason in manifest["accepted"].items())
    return f"\n{told}seconds  {times}\nwhere    {run_folder}{accepted}"


def _stages_of(counts: Mapping[str, Any] | None = None) -> "list[type[Stage]]":
    """The stages of a day; of those the ones that have counts."""
    return [line.load() for line in lines_of_day() if counts is None or line.name in counts]
