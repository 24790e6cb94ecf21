"""Features to embeddings: one Parquet file of unit vectors for every group of neighbouring buckets.

    python -m pipelines.embed --run RUN --model MODEL_FOLDER --reuse-from EARLIER_RUN

A unit is one output file of at least 50,000 rows (where there are so many), so nothing is merged afterwards.
Vectors of an earlier run are taken over where item, model and code are the same; an item that the model cannot embed
is quarantined alone.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from model.items.manifest import read_model_manifest, read_output_dim
from pipelines.console.jobs import flag
from pipelines.embed.compute import EmbedStage
from pipelines.embed.earlier import open_earlier
from pipelines.embed.parts import CODE_VERSION, STAGE, plan_parts
from pipelines.run.accounting import kinds_of, today_and_yesterday
from pipelines.run.opened import Run
from pipelines.run.stage import RunCall, Stage, job_of
from pipelines.run.units import Unit, read_stage_manifest
from schemas.errors import ThresholdError, UsageError

__all__ = ["CODE_VERSION", "STAGE", "Embed", "EmbedConfig", "build", "main", "plan_parts", "run"]


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Computes one unit vector per item from its features with a trained model."""

    run: str = flag(path=True, help="run folder that holds features/; embeddings/ is written there")
    model: str = flag(path=True, help="model folder")
    reuse_from: str | None = flag(
        path=True, default=None, help="earlier run folder whose vectors of equal items are taken over"
    )


class Embed(Stage[EmbedConfig]):
    """Counts: rows_read = rows_written + rows_quarantined; rows_written are those that are published."""

    name = STAGE
    config_class = EmbedConfig
    code_versions = (CODE_VERSION,)
    label = "embed"
    compared = "rows"
    identities = (
        "rows_published = rows_reused + rows_computed",
        "rows_computed = rows_changed + rows_new",
        "rows_yesterday = rows_reused + rows_changed + rows_gone",
    )

    @classmethod
    def given(cls, call: RunCall) -> dict[str, Any]:
        return {**super().given(call), "model": str(call.model)}

    @functools.cached_property
    def worker(self) -> EmbedStage:
        """Settles the parts; loads no model. Raises UsageError if the features were made for another model,
        ThresholdError if there is no item at all."""
        config = self.config
        features = read_stage_manifest(config.run, "features")
        model = read_model_manifest(config.model)
        num_items = features["counts"].get("items_written", 0)
        if num_items == 0:
            raise ThresholdError(
                f"expected at least one item with features in {config.run}, got none: see its quarantine"
            )
        for name in ("image_encoder_id", "vocabulary_id", "text_encoder_id"):
            wanted, got = model.get(name), features.get(name)
            if got != wanted:
                raise UsageError(
                    f"expected features made with {name} {wanted} of model {model['model_id']}, got {got}: run the "
                    "features stage again with the model's vocabulary, image encoder and text encoder"
                )
        model_id = model["model_id"]
        parts = plan_parts(features, model_id)
        earlier = open_earlier(config.reuse_from, config.run, model_id, parts)
        dims = (read_output_dim(config.model), model["picture_dim"], model["text_dim"])
        return EmbedStage(config.run, config.model, parts, model_id, *dims, earlier, num_items)

    @property
    def units(self) -> list[Unit]:
        return [Unit(STAGE, part.name, part.fingerprint) for part in self.worker.parts.values()]

    def facts(self) -> dict[str, Any]:
        return {"model_id": self.worker.model_id, "dimension": self.worker.output_dim}

    @staticmethod
    def account(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
        made = counts[STAGE]
        return {"rows_published": made.get("rows_written", 0), **kinds_of("rows", made)}

    @staticmethod
    def told(counts: Mapping[str, int]) -> str:
        return today_and_yesterday("vectors", "rows_published", "rows", counts)

    @classmethod
    def problems(cls, run: Run) -> Iterator[str]:
        if not len(run.embeddings.ids):
            yield f"expected 1 vector or more, got 0 in {run.folder / STAGE}"

    @classmethod
    def soundness(cls, run: Run) -> str:
        return f"{len(run.embeddings.ids):,} vectors, ids and files are as they should be"


EXAMPLE = "itemsage embed --run store/runs/2026-06-30/0123456789abcdef --model store/models/itemsage-0123456789ab"
build, run, main = job_of(Embed, EXAMPLE)
