"""Pairs: engagements joined to features, split into train, validation and test, with the counts that logQ needs.

    python -m pipelines.pairs --run RUN --engagements LOG --date 2026-06-30 --image-root IMAGES

    slices -> read, validate -> by bucket of the item -> split, count ----------------+-> join -> pairs/<part>/*
                  |                                         ^ |                       |    |
                  +-> near-duplicates, what is held out ----+ +-> pictures, vectors --+    +-> pairs/item_counts.parquet

Rows: rows_read = rows_quarantined + rows_after_date + rows_without_task (no query surface, or no positive action)
+ rows_equal (to another one, which counts) + rows_item_unknown (no such item, or one without features) + rows_gap
+ rows_without_picture_encoder
+ rows_query_without_tokens + rows_capped + rows_query_picture_broken + rows_train + rows_validation + rows_test.
Parts are those of the split, and `distillation`: queries made of texts, from which a model learns to rank as BM25 does.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from model.items.query_table import QueryTable
from model.split.split import PARTS, Split, SplitConfig, TimeSpan, fit_split, no_engagements
from pipelines.console.jobs import narrow
from pipelines.gates.log import check_log, require_passed_log
from pipelines.log.engagement_log import Log, LogConfig
from pipelines.log.equal_rows import ROWS_EQUAL
from pipelines.log.read_engagements import ReadEngagements
from pipelines.log.training_rows import SESSION_ROWS
from pipelines.pairs.config import PairsConfig
from pipelines.pairs.count_pairs import CountPairs
from pipelines.pairs.embed_queries import EmbedQueries
from pipelines.pairs.few_pairs import check_pairs, merge_first, unsplit_line, validating_queries
from pipelines.pairs.hold_out import PROGRESS as HOLD_OUT_PROGRESS
from pipelines.pairs.hold_out import HoldOut
from pipelines.pairs.join_pairs import IN_TABLE, JoinPairs
from pipelines.pairs.plan import CODE_VERSION, QUERY_TABLE_FOLDER, STAGE, PairsPlan, plan
from pipelines.pairs.write_summaries import SUMMARIES, WriteSummaries
from pipelines.run.bucket_rows import pack
from pipelines.run.stage import RunCall, Stage, job_of, run_stage
from pipelines.run.unit_files import sidecar_path
from pipelines.run.units import Unit, read_stage_manifest
from schemas import storage
from schemas.errors import CorruptFileError, ThresholdError
from schemas.files import read_sealed_json
from schemas.log_ends import LOG_END
from schemas.tables import PSEUDO_TASK

EXAMPLE = (
    "itemsage pairs --run store/training/2026-06-30/abc --engagements log.parquet --image-root images --date 2026-06-30"
)


class Pairs(Stage[PairsConfig]):
    """Judges the log first. There for the same input and flags, nothing is made again."""

    name = STAGE
    config_class = PairsConfig
    code_versions = (CODE_VERSION,)
    bars = (HOLD_OUT_PROGRESS, "pairs: query pictures", "pairs: write")

    @classmethod
    def given(cls, call: RunCall) -> dict[str, Any]:
        """A model that is not distilled needs no queries for it."""
        distills = min(call.config.distill_epochs, call.config.max_distill_steps) > 0 and call.config.use_text
        return {**super().given(call), "distill_queries": call.config.distill_queries if distills else 0}

    @functools.cached_property
    def planned(self) -> PairsPlan:
        """Raises what `plan` raises."""
        return plan(self.config)

    @functools.cached_property
    def finished(self) -> dict[str, Any] | None:
        """The manifest, if nothing is to be done."""
        return _finished_manifest(self.run, self.planned.fingerprint)

    def prepare(self, options: PipelineOptions) -> None:
        query_vectors = self.planned.query_vectors
        if self.config.engagements is not None:
            run_stage(Log(narrow(LogConfig, self.config)), options)
        _ = self.finished
        if query_vectors:
            table = QueryTable.build(query_vectors, Path(self.run, QUERY_TABLE_FOLDER))
            told = f"{table.rows:,} query vectors of {table.dim} numbers in {self.config.query_vectors}"
            print(f"{STAGE}: {told}", flush=True)

    @property
    def units(self) -> list[Unit]:
        return [Unit(STAGE, name, self.planned.fingerprint) for name in self.planned.unit_names]

    @property
    def todo(self) -> list[Unit]:
        """The two units that sum up the others."""
        return [] if self.finished is not None else [unit for unit in self.units if unit.name in SUMMARIES]

    def define(self, root: beam.Pipeline) -> beam.PCollection[dict[str, Any]]:
        planned = self.planned
        buckets = range(planned.pair_rules.num_buckets)
        read = root | "Slices" >> beam.Create(planned.slices) | ReadEngagements(planned.source, planned.num_rows)
        split = (
            read.spans
            | "Span of the log" >> beam.CombineGlobally(_sum_spans)
            | "Fit split" >> beam.Map(choose_split, planned.split, self.config.pseudo_queries > 0)
        )
        if planned.hold_out is None:
            split_counts = root | "No groups" >> beam.Create([Counter()])
        else:
            held_out = read.rows | HoldOut(planned.hold_out, split)
            split, split_counts = held_out | "Split" >> beam.Keys(), held_out | "Counts of the split" >> beam.Values()
        every_bucket = root | "Every bucket" >> beam.Create(
            [(bucket, pack(SESSION_ROWS.empty_table())) for bucket in buckets]
        )
        rows = (read.rows, every_bucket) | "Rows and buckets" >> beam.Flatten()
        counted = rows | CountPairs(planned.pair_rules, beam.pvalue.AsSingleton(split))
        pseudo = counted.pseudo | "First pseudo-queries" >> beam.CombineGlobally(merge_first)
        checked = beam.pvalue.AsSingleton(
            counted.parts
            | "Pairs of each part" >> beam.CombineGlobally(_sum_counters)
            | "Check parts" >> beam.Map(_check, beam.pvalue.AsSingleton(split), beam.pvalue.AsSingleton(pseudo))
        )
        if planned.encoding is None:
            broken = root | "No query pictures" >> beam.Create([[]])
        else:
            every_unit = root | "Every unit" >> beam.Create([(unit, []) for unit in buckets])
            queries = (counted.pictures, every_unit) | "Queries and units" >> beam.Flatten()
            broken = queries | EmbedQueries(planned.encoding, checked)
        item_counts = counted.pairs | JoinPairs(planned.join_rules, beam.pvalue.AsList(broken), checked)
        written = WriteSummaries(self.run, split, split_counts, counted.item_cutoffs, item_counts)
        return (
            root | "Summaries" >> beam.Create([Unit(STAGE, name, planned.fingerprint) for name in SUMMARIES]) | written
        )

    def facts(self) -> dict[str, Any]:
        """Raises ThresholdError if a part of the split that was really written is empty, or no query that trains has a
        vector of the shop's own."""
        split = Split.load(Path(self.run, "pairs"))
        sidecars = [read_sealed_json(sidecar_path(self.run, STAGE, unit.name)) for unit in self.units]
        counts = _sum_counters(Counter(sidecar["counts"]) for sidecar in sidecars)
        num_pairs = pairs_of(counts)
        try:
            check_pairs(split, num_pairs)
        except ThresholdError as error:
            broken = counts["query_pictures_quarantined"]
            where = f"{self.run}/quarantine"
            raise ThresholdError(f"{error} ({broken:,} query pictures could not be used, see {where})") from error
        facts = {"fingerprint": self.planned.fingerprint, "split": split.to_json(), LOG_END: self.planned.source.end_us}
        if self.planned.join_rules.query_table_folder is not None:
            facts["query_table"] = _used_table(self.planned.join_rules.query_table_folder, counts, num_pairs)
        return facts

    def seal(self) -> dict[str, Any]:
        return super().seal() if self.finished is None else self.finished

    def shown(self, counts: dict[str, int]) -> dict[str, int]:
        shown = {name: counts.get(name, 0) for name in ("rows_read", "rows_quarantined", "pairs_written")}
        equal = {ROWS_EQUAL: counts[ROWS_EQUAL]} if ROWS_EQUAL in counts else {}
        return {**shown, **equal, "reused": int(self.finished is not None)}

    def tell(self, manifest: dict[str, Any], started_s: float) -> None:
        super().tell(manifest, started_s)
        if manifest["split"]["kind"] == "query_item":
            print(f"{STAGE}: {held_out_line(manifest['counts'])}", flush=True)
        if line := unsplit_line(Split.from_json(manifest["split"]), pairs_of(manifest["counts"])):
            print(f"{STAGE}: WARNING: {line}", flush=True)


def choose_split(span: TimeSpan, config: SplitConfig, has_pseudo_queries: bool) -> Split:
    """The split of the log; with pseudo-queries and no engagement that has a query, the one that trains on none."""
    if span.num_rows == 0 and has_pseudo_queries:
        return no_engagements(config)
    return fit_split(span, config)


def held_out_line(counts: Mapping[str, int]) -> str:
    """What a query_item split was made of, and how many pairs each part has.

    >>> counts = {"pairs:train:search/click": 2000, "pairs:train:search/pseudo": 352, "pairs:test:search/save": 9}
    >>> held_out_line(counts).split("; ")[-1]
    'pairs that train 2,352, validate 0, test 9'
    """
    parts = {part: sum(n for name, n in counts.items() if name.startswith(f"pairs:{part}:")) for part in PARTS}
    unread = counts.get("split_pictures_unread", 0)
    return (
        f"{counts.get('split_items', 0):,} items and {counts.get('split_queries', 0):,} queries, of which "
        f"{counts.get('split_grouped_items', 0):,} and {counts.get('split_grouped_queries', 0):,} are near-duplicates "
        f"({counts.get('split_groups', 0):,} groups, the largest of {counts.get('split_largest_group', 0):,})"
        + (f"; {unread:,} pictures could not be compared" if unread else "")
        + f"; pairs that train {parts['train']:,}, validate {parts['validation']:,}, test {parts['test']:,}"
    )


def pairs_of(counts: Mapping[str, int]) -> dict[str, int]:
    """Pairs by "part:task", from the counts of the stage."""
    return {name.removeprefix("pairs:"): count for name, count in counts.items() if name.startswith("pairs:")}


def _sum_spans(spans: Iterable[TimeSpan]) -> TimeSpan:
    return sum(spans, TimeSpan())


def _sum_counters(counters: Iterable[Counter[str]]) -> Counter[str]:
    return sum(counters, Counter())


def _check(num_pairs: Mapping[str, int], split: Split, pseudo: list[int]) -> list[int]:
    """The pseudo-queries that validate where no other pair does. Raises ThresholdError if a part remains empty."""
    validating = validating_queries(split, num_pairs, pseudo)
    moved = {f"validation:{PSEUDO_TASK}": len(validating)} if validating else {}
    check_pairs(split, {**num_pairs, **moved})
    return validating


def _finished_manifest(run: str, identity: str) -> dict[str, Any] | None:
    """The stage's manifest if it was made with this fingerprint and all its files are there."""
    try:
        manifest = read_stage_manifest(run, STAGE)
        whole = all(storage.size_of(Path(run, entry["path"])) == entry["bytes"] for entry in manifest["files"])
    except (CorruptFileError, OSError):
        return None
    return manifest if whole and manifest["fingerprint"] == identity else None


def _used_table(folder: str, counts: Mapping[str, int], num_pairs: Mapping[str, int]) -> dict[str, Any]:
    """What the manifest says of the shop's own query vectors. Raises ThresholdError if no query that trains has one."""
    table = QueryTable(folder)
    if not counts[f"{IN_TABLE}:train"]:
        num_training = sum(count for name, count in num_pairs.items() if name.startswith("train:search/"))
        raise ThresholdError(
            f"expected queries that train among the {table.rows:,} of --query-vectors, got none of {num_training:,} "
            "pairs: nothing would be learned from its vectors. Are its queries written as people ask them?"
        )
    return {"dim": table.dim, "folder": Path(QUERY_TABLE_FOLDER, Path(folder).name).as_posix(), "id": table.id}


def run_alone(config: PairsConfig, options: PipelineOptions) -> dict[str, Any]:
    """The job as a command of its own, with the gates of the log. Raises what `run` raises, and ThresholdError if too
    much of the log is rejected or nothing of it is of use."""
    plan(config)
    if config.engagements is not None:
        log = run_stage(Log(narrow(LogConfig, config)), options)["counts"]
        require_passed_log(check_log(log, config), "pairs are made")
    return run(config, options)


build, run, main = job_of(Pairs, EXAMPLE, run_alone)
