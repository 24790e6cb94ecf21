"""`itemsage explain ITEM`: one item today and yesterday, and why its vector was computed or reused.

    itemsage explain sku-123 --store store

Of the rows, only the files of the item's bucket are read. Whatever the shop wrote is quoted.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.console.exit_codes import EXIT_DONE, EXIT_USAGE, exit_code
from pipelines.console.jobs import flag, parse_alone
from pipelines.console.terminal import aligned
from pipelines.operations.explain.account import explain
from pipelines.store.named_run import find_run
from schemas.errors import printable
from schemas.quarantine import quote

EXAMPLE = "itemsage explain sku-123 --store store --run 2026-06-30"
_MARK = "*"


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """Tells what a run knows of an item and why its vector was computed or reused. Exit code 2 for an unknown id."""

    item: str = flag(help="item id", positional=True)
    store: str = flag(path=True, help="store folder")
    run: str | None = flag(default=None, help="DATE, RUN_ID or runs/DATE/RUN_ID; default: the published run")
    json: bool = flag(default=False, help="print JSON")


def run(config: ExplainConfig) -> int:
    """Prints the explanation; returns the exit code. Raises UsageError if there is no such run."""
    told = explain(config.store, find_run(config.store, config.run), config.item)
    print(json.dumps(told, indent=1) if config.json else format_explanation(told))
    return EXIT_DONE if told["known"] or told["was_there_yesterday"] or told["quarantine"] else EXIT_USAGE


def format_explanation(told: dict[str, Any]) -> str:
    """For a person: sections in the order of the flow; what differs from yesterday is marked."""
    against = f"against {told['previous']}" if told["previous"] else "with no run before"
    lines = [
        f"item       {quote(told['item_id'])} in {told['run']}, {against}",
        "; ".join(
            [
                f"bucket     {told['bucket']} of {told['num_buckets']}"
                if told["num_buckets"]
                else "bucket     not known",
                *(f"{name} {quote(value)}" for name, value in sorted(told["ids"].items()) if value is not None),
            ]
        ),
    ]
    lines += _absent(told) if not told["known"] else []
    lines += [
        f"vector     {told['outcome']}: {told['reasons'][0]}",
        *(f"           {text}" for text in told["reasons"][1:]),
    ]
    lines += [
        *_vector(told),
        *_unified(told),
        *_row(told),
        *_pictures(told),
        *_tokens(told),
        *_quarantine(told),
        *_neighbours(told),
    ]
    lines += [f"{stage:<10} {', '.join(files) or 'no such item'}" for stage, files in told["other_stages"].items()]
    lines += [f"problem    {problem}" for problem in told["problems"]]
    return "\n".join(map(printable, lines))


def _absent(told: dict[str, Any]) -> list[str]:
    """Of an item that the run has no row of: quarantined (and where its row stood), gone, or unknown; where rows were
    left out it may have been one of them."""
    left_out = f"; leave_out left out {told['rows_left_out']:,} rows" if told["rows_left_out"] else ""
    if rows := [row for row in told["quarantine"] if row["level"] == "row"]:
        where = ", ".join(quote(row["where"]) for row in rows)
        before = "; it was there yesterday" if told["was_there_yesterday"] else ""
        return [f"rejected   no such item in this run: its row is in the quarantine, {where}{before}"]
    if told["was_there_yesterday"]:
        return [f"gone       no such item in this run; it was there yesterday{left_out}"]
    close = ", ".join(map(quote, told["close_ids"])) or "none"
    yesterday = "; it was not there yesterday either" if told["previous"] else ""
    return [f"unknown    no such item in this run{yesterday}; not quarantined{left_out}; ids like it: {close}"]


def _vector(told: dict[str, Any]) -> list[str]:
    lines = []
    if (record := told["record"]) is not None:
        pictures = f"{record['pictures']} pictures of {record['picture_dim']}"
        lines.append(f"           record of {record['bytes']:,} bytes: {record['tokens']} tokens, {pictures}")
    if (vector := told["vector"]) is not None:
        lines.append(f"           {_beside(vector)}")
    return lines


def _beside(vector: dict[str, Any]) -> str:
    """The norm, and how near the vector is to yesterday's."""
    text = f"norm {vector['norm']:.6f}"
    if vector["cosine"] is not None:
        same = "the same bytes" if vector["same_bytes"] else "another vector"
        text += f", cosine with yesterday's {vector['cosine']:.4f} ({same})"
        text += "" if vector["same_model"] else ", of another model: the two cannot be compared"
    return text


def _unified(told: dict[str, Any]) -> list[str]:
    """The unified vector, and a row a source: its weight for this item, its share of the vector, its cosine."""
    if (unified := told["unified"]) is None:
        return []
    vector = unified["vector"]
    lines = ["unified    none: no source knows the item" if vector is None else f"unified    {_beside(vector)}"]
    if "sources" not in unified:
        return lines
    rows: list[Sequence[str]] = [("  source", "weight", "evidence", "half at", "weight here", "share", "cosine")]
    for one in unified["sources"]:
        counted = [one["weight"], one["evidence"], one["half_evidence"]]
        here = [one["weight_here"], one["share"], one["cosine"]] if one["has_vector"] else []
        cells = ["" if value is None else f"{value:g}" for value in counted]
        shown = ["" if value is None else f"{value:.3f}" for value in here] or ["no vector", "", ""]
        rows.append((f"  {one['source']}", *cells, *shown))
    lines += aligned(rows, to_the_right={1, 2, 3, 4, 5, 6})
    if unified["cosine"] is not None:
        what = "sum" if unified["how"] == "sum" else "concatenation"
        lines.append(
            f"  their {what}, {unified['dim']} numbers: cosine {unified['cosine']:.4f} with the vector of the run; "
            "shares add up to 1, a cosine is of the source's vector with the unified one"
        )
    return lines


def _row(told: dict[str, Any]) -> list[str]:
    if not told["known"]:
        rows = [f"  {entry['field']:<24} {quote(entry['yesterday'])}" for entry in told["row"]]
        return ["row of yesterday", *rows] if rows else []
    lines = []
    for entry in told["row"]:
        before = f"   {_MARK} yesterday {quote(entry['yesterday'])}" if entry["differs"] else ""
        lines.append(f"  {entry['field']:<24} {quote(entry['today'])}{before}")
    return ["row", *lines] if lines else []


def _pictures(told: dict[str, Any]) -> list[str]:
    lines = []
    for picture in told["pictures"]:
        size = "" if picture["bytes"] is None else ", -" if picture["bytes"] < 0 else f", {picture['bytes']:,} bytes"
        digest = "" if picture["sha256"] is None else f", sha256 {picture['sha256'][:12]}"
        bad = "" if picture["reason"] is None else f", {picture['reason']}: got {picture['got']}"
        change = "" if picture["change"] is None else f"   {_MARK} {picture['change']}"
        lines.append(f"  {quote(picture['uri'])}{size}{digest}{bad}{change}")
    head = "pictures" if told["known"] else "pictures of yesterday"
    return [head, *lines] if lines else []


def _tokens(told: dict[str, Any]) -> list[str]:
    lines = []
    for entry in told["tokens"]:
        unknown = f"; unknown words {' '.join(entry['unknown_words'])}" if entry["unknown_words"] else ""
        counts = f"{entry['known']} known, {entry['unknown']} unknown"
        lines.append(f"  {entry['field']:<24} {counts}: {' '.join(entry['first'])}{unknown}")
    return ["tokens", *lines] if lines else []


def _quarantine(told: dict[str, Any]) -> list[str]:
    lines = []
    for day, rows in (("today", told["quarantine"]), ("yesterday", told["quarantine_yesterday"])):
        for row in rows:
            what = (
                f"{row['level']} {quote(row['where'])}: {row['reason']}, expected {row['expected']}, got {row['got']}"
            )
            lines.append(f"  {day:<10} {row['stage']}, {what}: {row['remedy']}")
    return ["quarantine", *lines] if lines else []


def _neighbours(told: dict[str, Any]) -> list[str]:
    found = told["neighbours"]
    if not found["today"]:
        return []
    before = {entry["item_id"] for entry in found["yesterday"]}
    overlap = (
        "" if found["overlap"] is None else f": {found['overlap']} of {len(found['today'])} were neighbours yesterday"
    )
    lines = [f"neighbours{overlap}"]
    for entry in found["today"]:
        mark = f" {_MARK} new" if before and entry["item_id"] not in before else ""
        lines.append(f"  {entry['score']:6.3f}  {quote(entry['item_id'])}  {quote(entry['title'])}{mark}")
    left = [entry for entry in found["yesterday"] if entry["item_id"] not in {e["item_id"] for e in found["today"]}]
    lines += [f"  yesterday {e['score']:.3f}  {quote(e['item_id'])}  {quote(e['title'])}" for e in left]
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    return exit_code(lambda: run(parse_alone(ExplainConfig, arguments, "itemsage explain", EXAMPLE)))
