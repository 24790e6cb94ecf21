"""The stage `unified` of a day: embeddings, attributes and pictures of today's items, and the store's unified model, to
one vector an item.

    embeddings/part-* ─ itemsage ┐
    items/     ─ dae ────────────┼─ fuse ─▶ unified/part-*.parquet, of the same parts
    features/  ─ siamese ────────┤
    unified model ─ clickstream ─┘   by item id: what is new has no vector there, and the weights of the others

An item's bytes depend on the item and the unified model alone, whatever runs it. Counts: rows_read (embeddings) =
rows_written + rows_quarantined (no source knows the item); rows_written = rows_reused (an earlier run's equal part) +
rows_computed.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from model.machine.library_versions import versions_of
from model.sources.unified_manifest import DAE, SIAMESE, SOURCE_IDS, UnifiedManifest
from pipelines.console.jobs import flag
from pipelines.embed.parts import Part, plan_parts
from pipelines.run.listed_files import UNIFIED as STAGE
from pipelines.run.opened import Run
from pipelines.run.process_units import UnitStage
from pipelines.run.stage import RunCall, Stage
from pipelines.run.unit_files import quarantine_path
from pipelines.run.units import Unit
from pipelines.store.models import UNIFIED_MODELS
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.hashing import fingerprint
from schemas.log_ends import LOG_END, end_to_json
from schemas.quarantine import quote

CODE_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class UnifiedConfig:
    """One vector an item, of many sources."""

    run: str = flag(path=True, help="run folder with finished embeddings")
    unified: str = flag(path=True, help="folder of a unified model")
    reuse_from: str | None = flag(path=True, default=None, help="earlier run folder whose equal parts are taken over")


class Unified(Stage[UnifiedConfig]):
    """A unit a file of embeddings."""

    name = STAGE
    config_class = UnifiedConfig
    code_versions = (CODE_VERSION,)
    identities = ("unified = unified_reused + unified_computed", "rows_published = unified + unified_quarantined")

    @classmethod
    def given(cls, call: RunCall) -> dict[str, Any]:
        folder = UNIFIED_MODELS.folder(call.config.store, call.config.unified_model)
        return {**super().given(call), "unified": str(folder)}

    @functools.cached_property
    def opened(self) -> Run:
        """What earlier stages have left."""
        return Run(self.run)

    @functools.cached_property
    def manifest(self) -> UnifiedManifest:
        """Of the unified model, which must be of the run's item model."""
        manifest = UnifiedManifest.read(self.config.unified)
        if manifest.item_model_id != self.opened.model_id:
            raise UsageError(
                f"expected a unified model of {quote(self.opened.model_id)}, which made the embeddings, got "
                f"{manifest.unified_id} of {quote(manifest.item_model_id)}: run `itemsage unify` again"
            )
        return manifest

    @functools.cached_property
    def parts(self) -> dict[str, Part]:
        """By name of the file of embeddings that each is."""
        planned = plan_parts(self.opened.manifest("features").to_json(), self.opened.model_id)
        made = self.opened.manifest("embeddings").units
        if {part.name for part in planned} != set(made):
            raise CorruptFileError(
                f"expected {len(planned)} parts of embeddings in {self.run}, got others: run the embed stage again"
            )
        return {part.name: part for part in planned}

    @functools.cached_property
    def units(self) -> list[Unit]:
        made_of = [CODE_VERSION, versions_of("numpy", "scipy", "torch"), self.manifest.unified_id]
        return [Unit(STAGE, part.name, fingerprint([*made_of, *self._inputs(part)])) for part in self.parts.values()]

    def _inputs(self, part: Part) -> list[Any]:
        """Checksums of what the part is made from."""
        names = set(self.manifest.source_ids)
        found: list[Any] = [self.opened.listed("embeddings")[part.path]]
        if DAE in names:
            listed = self.opened.listed("items")
            found.append([listed[f"items/{Path(path).stem}.parquet"] for path in part.files])
        if SIAMESE in names:
            found.append([self.opened.listed("features")[path] for path in part.files])
        return found

    def prepare(self, options: PipelineOptions) -> None:
        """Raises UsageError for a unified model of another item model, CorruptFileError for a damaged one."""
        self.manifest.check_files(self.config.unified)

    @functools.cached_property
    def todo(self) -> Sequence[Unit]:
        return self.unfinished

    @property
    def worker(self) -> UnitStage:
        from pipelines.unify.compute import UnifyPart  # and scipy and torch, which a day without it need not wait for

        return UnifyPart(
            run=self.run,
            parts=self.parts,
            unified=self.config.unified,
            unified_id=self.manifest.unified_id,
            reuse_from=self.config.reuse_from,
            total=self.opened.manifest("embeddings").count("rows_written"),
        )

    def facts(self) -> dict[str, Any]:
        """Without a model_id, by which a run knows what its item model makes."""
        manifest = self.manifest
        return {
            "unified_id": manifest.unified_id,
            "dimension": manifest.dim,
            SOURCE_IDS: dict(manifest.source_ids),
            LOG_END: end_to_json(manifest.learnt_until_us),
        }

    @staticmethod
    def account(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
        made = counts[STAGE]
        kinds = {f"unified_{name}": made.get(f"rows_{name}", 0) for name in ("reused", "computed", "quarantined")}
        return {"unified": made.get("rows_written", 0), **kinds}

    @staticmethod
    def told(counts: Mapping[str, int]) -> str:
        if "unified" not in counts:
            return ""
        return (
            "unified  today {unified:,} = reused {unified_reused:,} + computed {unified_computed:,}; no source knows "
            "{unified_quarantined:,} items\n"
        ).format_map(counts)

    @classmethod
    def problems(cls, run: Run) -> Iterator[str]:
        """Of norm 1 and of the dimension that is said, of the items of the embeddings, but for those in quarantine."""
        yield from super().problems(run)
        unified_ids, _ = run.unified  # raises if a vector is not of norm 1, or they are not as counted
        without, strangers = _missing_from(pa.array(run.item_ids, pa.string()), unified_ids)
        if len(strangers):
            got = f"{len(strangers):,} others, {quote(strangers[0].as_py())} the first"
            yield f"expected unified vectors of items of embeddings/, got {got}: run the stage unified again"
        rejected = _quarantined(run.folder, sorted(run.manifest(STAGE).units))
        if sorted(without.to_pylist()) != rejected:
            got = f"{len(without):,} without and {len(rejected):,} in quarantine"
            yield f"expected a unified vector of each item that is not in quarantine, got {got}: run the stage again"


def _quarantined(run: Path, units: Sequence[str]) -> list[str]:
    paths = [run / quarantine_path(STAGE, unit) for unit in units]
    tables = [pq.read_table(path, columns=["item_id"]) for path in paths if storage.has_file(path)]
    return sorted(name for table in tables for name in table["item_id"].to_pylist())


def _missing_from(item_ids: pa.Array, unified_ids: pa.Array) -> tuple[pa.Array, pa.Array]:
    """(items without a unified vector, unified vectors of no item), in order."""
    return tuple(
        ids.filter(pc.invert(pc.is_in(ids, value_set=others)))
        for ids, others in ((item_ids, unified_ids), (unified_ids, item_ids))
    )
