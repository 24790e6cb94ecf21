"""Evaluate sources: the table of One Embedding To Do Them All, item vectors by task, on a log's last days.

    itemsage evaluate-sources --run RUN --engagements LOG --split-date D --out table.json --markdown table.md

    log   |-- sources have learnt from it --|-- clicks, purchases and returns that are asked --|
                                     end of --split-date

    attributes        does a vector tell brand, colours, type ...?           macro-F1 of a linear probe
    clicked_bought    is what a session clicked near what it bought?         AUC against items of equal popularity
    cart_returns      does what was bought come back?                        AUC of two classifiers

`itemsage evaluate --tasks one-embedding` is the same command.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from model.measures.attribute_probe import TEXT, ProbeConfig
from model.measures.cart_returns import ReturnConfig
from model.measures.log_rows import interest
from model.measures.one_embedding import TasksConfig, tested_of_reserved
from pipelines.console.jobs import flag, main_of_alone, shown_call
from pipelines.console.paths import named_folders
from pipelines.console.terminal import print_page
from pipelines.evaluate_sources.given import UNIFIED, given_vectors, opened, require_before
from pipelines.evaluate_sources.measure import Table
from pipelines.evaluate_sources.report import format_page
from pipelines.log.dated_log import DatedLog
from pipelines.one_embedding.catalogue import Catalogue
from pipelines.one_embedding.sessions import read_sessions
from pipelines.run.opened import Run
from pipelines.store.store import check_date
from schemas.days import end_of_day_us
from schemas.errors import UsageError
from schemas.files import write_json, write_text
from schemas.quarantine import quote

EXAMPLE = (
    "itemsage evaluate-sources --run store/training/2026-05-31/0123456789abcdef --engagements log.parquet "
    "--split-date 2026-05-31 --out table.json --markdown table.md"
)
#: Values of C: of the first figures on inner families the best is taken.
_STRENGTHS, _MAX_STEPS = (3.0, 30.0), 100
#: Clicked and bought, of whole sessions: what their intervals are drawn from.
_MAX_PAIRS = 50_000


@dataclass(frozen=True, kw_only=True)
class EvaluateSourcesConfig(DatedLog):
    """Measures item vectors of each source by three tasks: attributes, clicked and bought, returns."""

    run: str = flag(path=True, help="run folder with items/ and finished sources, say of a training")
    items_run: str | None = flag(
        path=True, default=None, help="run folder of a day, whose embeddings are measured as `itemsage`"
    )
    engagements: str = flag(path=True, help="engagements before and after the split: a file, a folder or a glob")
    split_date: str = flag(help="last day (YYYY-MM-DD, of --time-zone) of the log that sources may have learnt from")
    date: str | None = flag(default=None, help="rows after the end of this day are left out; {date} means it")
    also: str = flag(
        default="", help="more embeddings, NAME=FOLDER by commas; of a log before the split, which is not checked"
    )
    reference: str | None = flag(
        default=None, help="source that the others are compared with; default: unified, else the first"
    )
    seeds: int = flag(default=3, help="how often families and random items are drawn")
    return_days: float = flag(default=30.0, help="days after a purchase in which a return counts")
    max_items: int = flag(default=10_000, help="items that are asked for an attribute, whole families by their hash")
    out: str | None = flag(path=True, default=None, help="JSON file of the figures")
    markdown: str | None = flag(path=True, default=None, help="Markdown file of the page, which is printed in any case")
    columns: dict[str, Any] = flag(default={}, help="[columns.engagements]: our column name -> the shop's")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_date(self.split_date, "--split-date")
        if min(self.seeds, self.max_items) < 1:
            raise UsageError(f"expected --seeds and --max-items >= 1, got {self.seeds} and {self.max_items}")
        if self.date is not None and check_date(self.date, "--date") <= self.split_date:
            raise UsageError(f"expected --date after --split-date {self.split_date}, got {self.date}")

    @property
    def tasks(self) -> TasksConfig:
        """What is asked of every source."""
        return TasksConfig(
            probe=ProbeConfig(strengths=_STRENGTHS, max_steps=_MAX_STEPS),
            returns=ReturnConfig(window_days=self.return_days),
            max_items=self.max_items,
            max_pairs=_MAX_PAIRS,
        )


def run(config: EvaluateSourcesConfig) -> dict[str, Any]:
    """Prints and writes the page, and returns the figures.

    Raises UsageError for a wrong call, and for a source that has learnt from the log after the split; ThresholdError if
    too much of the log is rejected or no task can be asked; CorruptFileError for damaged vectors.
    """
    split_us = end_of_day_us(config.split_date, config.time_zone)
    assert split_us is not None
    own, of_day = opened(config.run), opened(config.items_run)
    assert own is not None
    catalogue = Catalogue.of(own)
    sources = given_vectors(own, of_day, config.also, catalogue.item_ids)
    require_before(sources, split_us, config.split_date)
    reference = _reference(config.reference, [source.name for source in sources])
    log, rows = _log(config, catalogue)
    table = Table(
        catalogue=catalogue, sources=sources, reference=reference, config=config.tasks, num_seeds=config.seeds
    )
    report = {
        **_about(config, own, catalogue, rows),
        "interest": interest(log),
        "reference": reference,
        "sources": [
            {
                "name": source.name,
                "model_id": source.model_id,
                "dimension": source.vectors_ND.shape[1],
                "items": source.num_items,
                "log_end_us": source.log_end_us,
                "seen": sorted(source.seen),
                "is_told": source.is_told,
            }
            for source in sources
        ],
        **table.measured(log, split_us),
    }
    page = format_page(report)
    print_page(page)
    if config.markdown is not None:
        write_text(config.markdown, page)
    if config.out is not None:
        write_json(config.out, report)
    return report


def _log(config: EvaluateSourcesConfig, catalogue: Catalogue) -> tuple[pa.Table, dict[str, int]]:
    end_us = end_of_day_us(config.date, config.time_zone)
    ids = pa.array(catalogue.item_ids, pa.string())
    return read_sessions(
        config.engagements, config.columns, config.date, end_us, ids, config, "item vectors are measured"
    )


def _about(config: EvaluateSourcesConfig, run: Run, catalogue: Catalogue, rows: dict[str, int]) -> dict[str, Any]:
    also = ",".join(f"{name}={Path(folder).name}" for name, folder in named_folders(config.also))
    return {
        "command": shown_call("itemsage evaluate-sources", replace(config, also=also), left_out=("out", "markdown")),
        "items": len(catalogue.item_ids),
        "families": len(set(catalogue.families)),
        "rows": rows,
        "split_date": config.split_date,
        "time_zone": config.time_zone,
        "seeds": config.seeds,
        "tested_of_reserved": tested_of_reserved(config.tasks.probe),
        "return_days": config.return_days,
    }


def _reference(given: str | None, names: Sequence[str]) -> str:
    """Raises UsageError for one that is not measured."""
    if given is None:
        return UNIFIED if UNIFIED in names else names[0]
    if given not in (*names, TEXT):
        raise UsageError(f"expected --reference of {', '.join((*names, TEXT))}, got {quote(given)}")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of_alone(EvaluateSourcesConfig, run, argv, "itemsage evaluate-sources", EXAMPLE)
