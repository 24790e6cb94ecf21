"""What `itemsage init` says to a person."""

import shlex
from collections.abc import Sequence
from datetime import UTC, date, datetime

from pipelines.console.terminal import aligned, shortened
from pipelines.init.catalogue.offered import asked_of_the_title, offered, question
from pipelines.init.kinds import GA4
from pipelines.init.log.start import LogStart
from pipelines.init.rehearsal import RehearsedLog, reasons
from pipelines.init.shop import Shop
from pipelines.init.table.found import FoundColumn
from pipelines.log.doubts import last_true_year
from pipelines.log.listed_items import listed_in_words
from pipelines.log.rows import near_counts, near_in_words, without_items_in_words
from schemas.coercion.whole_ids import zeros_in_words
from schemas.events.paths import NO_ROWS
from schemas.files import shown
from schemas.tables import LEAVE_OUT, TEXT_FIELDS

#: Share of a log's rows that are on items of the catalogue, below which somebody should look.
_FEW_KNOWN = 0.5


def told(shop: Shop, out: str, questions: Sequence[str]) -> str:
    """What was found, for a person, and the commands to call next. out: the config file; questions: of its settings,
    beside those of its columns."""
    lines = _table_of(shop.start.found, (*TEXT_FIELDS, "images"))
    items = shop.items
    lines.append(
        f"{shown(shop.catalog)} ({shop.kind}): {items.num_rows:,} rows, {len(items.items):,} items "
        f"({shop.start.told_apart}), {items.num_with_text:,} with text, {items.num_with_pictures:,} with pictures"
    )
    for level, what in (("row", "rows"), ("cell", "rows have a cell that"), ("picture", "pictures in cells")):
        rejected = [rejection for rejection in items.rejections if rejection.level == level]
        if rejected:
            lines.append(f"WARNING: {len(rejected):,} {what} cannot be read: {reasons(rejected)}")
    lines += [
        f"WARNING: {count:,} cells of {name} cannot be read, and are empty: what is in objects, or in one of several "
        "languages, is named with dots"
        for name, count in items.unreadable.items()
    ]
    zeros = zeros_in_words(items.items["item_id"])
    lines += [f"WARNING: {warning}" for warning in (*items.mixed_ids, zeros) if warning]
    lines += [f"? {asked}" for asked in questions]
    lines += _asked(shop.start.found)
    lines += [f"? {asked}" for asked in shop.start.questions]
    lines += [f"? {one.question}" for one in shop.start.hidden]
    lines += [f"? {asked}" for asked in asked_of_the_title(shop.table, shop.start)]
    lines += [f"? {question(name, columns)}" for name, columns in offered(shop.table, shop.start).items()]
    if shop.log_start is not None and shop.log is not None:
        lines += _told_of_log(shop, shop.log_start, shop.log)
    lines += ["", f"{shown(out)} is written; what each line is made of stands beside it. Next:"]
    return "\n".join([*lines, *(f"  {command}" for command in next_commands(shop, out))])


def next_commands(shop: Shop, out: str) -> list[str]:
    """What to call next with the config file `out`, in order."""
    out, day = shlex.quote(out), _day(shop).isoformat()
    fetch = [f"itemsage fetch-images --config {out}"] if shop.items.urls else []
    return [
        *fetch,
        f"itemsage train --config {out} --date {day}",
        f"itemsage daily --config {out} --date {day}",
        f"itemsage search --config {out} --text {shlex.quote(shop.items.words_of_a_title)}",
    ]


def _day(shop: Shop) -> date:
    """The last day of a log that was read to its end, unless it is yet to come, else today."""
    today = datetime.now(UTC).date()
    last = shop.log.last_day if shop.log is not None and shop.log.is_whole else None
    return today if last is None or last.year > last_true_year(today.year) else last


def _told_of_log(shop: Shop, start: LogStart, log: RehearsedLog) -> list[str]:
    lines = ["", *_table_of([*start.found, start.event], ("session_id", "query")), *_asked([*start.found, start.event])]
    lines += [f"? {asked}" for asked in start.questions]
    share = log.share_known(shop.items.ids)
    num_left_out = sum(log.no_rows[name] for name in NO_ROWS)
    lines.append(
        f"{shown(str(shop.engagements))} ({GA4}): {log.num_rows:,} rows, {num_left_out:,} events that are none; "
        f"{share:.0%} of the rows are on items of the catalogue"
    )
    if share < _FEW_KNOWN:
        example = shortened(next(iter(log.items), ""), 60)
        why = near_in_words(near_counts(log.items, shop.items.ids)) or listed_in_words(log.items, shop.items.ids)
        lines.append(
            f"WARNING: the log names items otherwise than the catalogue, such as {example}: "
            f"{why or 'map item_id of either table to the column that both have'}"
        )
    if share >= _FEW_KNOWN and (listed := listed_in_words(log.items, shop.items.ids)):
        lines.append(f"WARNING: {listed}")
    if log.rejections:
        lines.append(f"WARNING: {len(log.rejections):,} rows of the log cannot be read: {reasons(log.rejections)}")
    lines += [f"WARNING: {mixed}" for mixed in log.mixed_ids]
    lines += [f"WARNING: {doubt}" for doubt in log.doubts.in_words(datetime.now(UTC).year)]
    if without_items := without_items_in_words(log.events_by_action):
        lines.append(f"WARNING: {without_items}")
    unknown = [f"{name} ({start.seen[name]:,})" for name in start.unknown]
    if unknown:
        lines.append(f"? left out, for Google has not named them: {shortened(', '.join(unknown), 200)}")
    return lines


def _asked(found: Sequence[FoundColumn]) -> list[str]:
    return [f"? {one.name}: {note}" for one in found for note in one.notes if "?" in note]


def _table_of(found: Sequence[FoundColumn], known: Sequence[str]) -> list[str]:
    """A line for each column of ours: the shop's, the share that is filled, an example."""
    by_name = {one.name: one for one in found}
    by_name.pop(LEAVE_OUT.name, None)  # of which rows are items, not of what they are
    names = [*by_name, *(name for name in known if name not in by_name)]
    rows = [("column", "of the file", "filled", "example")]
    for name in names:
        one = by_name.get(name)
        if one is None or not one.sources:
            rows.append((name, "-", "", ""))
        else:
            rows.append((name, " + ".join(one.sources), f"{one.share_filled:.0%}", shortened(one.example, 40)))
    return aligned(rows, to_the_right={2})
