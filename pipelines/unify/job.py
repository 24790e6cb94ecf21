"""Sources of item vectors to one unified model in the store.

    itemsage unify --store STORE --sources itemsage,prod2vec,dae --weights itemsage=1,prod2vec=.5,dae=.5

    the model's training run: prod2vec/ dae/ ... + the item model -> weights, projections -> models/unified-<12 hex>

`daily --unify` makes a vector of every item with it. It belongs to one item model: a new model needs another.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions

from model.items.manifest import read_model_manifest, read_output_dim
from model.sources.fusion import Fusion, FusionConfig, save_fusion, settle_fusion
from model.sources.unified import SourceVectors
from model.sources.unified_manifest import FUSION_FOLDER, ITEMSAGE, SIAMESE, UnifiedManifest, write_unified_manifest
from model.split.split import Split
from pipelines.console.jobs import main_of
from pipelines.embed import job as embed
from pipelines.one_embedding.validation import validation_start_us
from pipelines.one_embedding.vectors import log_end_us
from pipelines.run.opened import Run
from pipelines.store.lock import store_lock
from pipelines.store.models import ITEM_MODELS, UNIFIED_MODELS
from pipelines.unify.config import UnifyConfig
from pipelines.unify.learn import FindWeights, ValidationLog, find_weights, told
from pipelines.unify.run_sources import RunSource
from schemas import storage
from schemas.days import end_of_day_us
from schemas.errors import CorruptFileError, UsageError
from schemas.log_ends import LOG_END, latest, told_end
from schemas.quarantine import quote
from schemas.records.manifests import StageManifest

EXAMPLE = (
    "itemsage unify --store store --sources itemsage,prod2vec,dae --weights itemsage=1,prod2vec=.5,dae=.5 "
    "--half-evidence prod2vec=5"
)


def run(config: UnifyConfig, options: PipelineOptions, find: FindWeights | None = None) -> str:
    """Installs the unified model and makes it the one in use; returns its id. Equal input, equal id. find: what finds
    the weights, if not what the config asks for.

    Raises UsageError for a wrong call, or sources that the run lacks; CorruptFileError for damaged ones; and what
    finding weights raises.
    """
    started_s = time.monotonic()
    fusion_config = config.fusion()
    model_id = ITEM_MODELS.wanted(config.store, config.model)
    with store_lock(config.store, "unify", name="training/LOCK"):
        folder = config.run or _training_run(config.store, model_id)
        sources = {name: RunSource.of(folder, name) for name in config.names if name != ITEMSAGE}
        model = ITEM_MODELS.folder(config.store, model_id)
        if fusion_config.how == "sum" and config.dim is None:
            fusion_config = replace(fusion_config, dim=read_output_dim(model))
        if SIAMESE in sources:
            _check_backbone(folder, model)
        vectors = _Vectors(model, folder, sources, options)
        ends = _log_ends(folder, model, config.names)
        curve: Sequence[Mapping[str, object]] = ()
        find = find or _asked(config, folder, ends)
        if find is not None:
            found = find({name: vectors.of(name) for name in config.names}, fusion_config)
            fusion_config, curve = replace(fusion_config, weights=found.weights), found.curve
            print(told(found), flush=True)
        fusion = settle_fusion(fusion_config, {name: vectors.to_settle(name, fusion_config) for name in config.names})
        ids = {ITEMSAGE: model_id, **{name: source.source_id for name, source in sources.items()}}
        end_us = latest([*(ends[name] for name in fusion.dims), _date_end_us(config)])
        own_ids = {name: ids[name] for name in fusion.dims}
        manifest = _install(config.store, fusion, curve, model_id, own_ids, sources, end_us)
        before = UNIFIED_MODELS.named(config.store)
        UNIFIED_MODELS.make_current(config.store, manifest.unified_id)
    shown = ", ".join(f"{name} {fusion.config.weights[name]:g}" for name in fusion.dims)
    where = f"{config.store}/models/{manifest.unified_id}"
    print(f"unify: {shown}; {fusion.config.how} of {fusion.dim} numbers; {time.monotonic() - started_s:.1f} s; {where}")
    if before not in (None, manifest.unified_id):
        print(f"unify: `daily --unify` uses it from now on; before it was {before}, as --unified-model takes it still")
    return manifest.unified_id


def _asked(config: UnifyConfig, run: str, ends: Mapping[str, float | None]) -> FindWeights | None:
    """What finds weights as the config asks, None if it gives them. Raises UsageError, before anything is computed, if
    the sources have learnt from all that they would be found on."""
    if config.engagements is None or config.date is None:
        return None
    end_us = _date_end_us(config)
    assert end_us is not None
    validation_start_us(ends, end_us)
    log = ValidationLog(engagements=config.engagements, date=config.date, thresholds=config, columns=config.columns)
    return find_weights(run, ends.get(ITEMSAGE), log)


class _Vectors:
    """The vectors of the sources of a run, those of the item model among them, which are computed if they are asked
    for."""

    def __init__(self, model: Path, run: str, sources: Mapping[str, RunSource], options: PipelineOptions):
        self.model, self.run, self.sources, self.options = model, run, sources, options
        self._held: dict[str, SourceVectors] = {}

    def of(self, name: str) -> SourceVectors:
        """All that the source knows of the run's items."""
        if name not in self._held:
            self._held[name] = self._of_items() if name == ITEMSAGE else self.sources[name].vectors()
        return self._held[name]

    def to_settle(self, name: str, config: FusionConfig) -> np.ndarray:
        """float32 [N, D]: what settle_fusion looks at: all vectors of a source that is cut to its principal directions,
        of another one row, which has as many numbers."""
        dim = read_output_dim(self.model) if name == ITEMSAGE else self.sources[name].dim
        if config.how == "sum" and config.dim is not None and dim > config.dim:
            return self.of(name).matrix_ND
        return np.ones((1, dim), np.float32)

    def _of_items(self) -> SourceVectors:
        embed.run(embed.EmbedConfig(run=self.run, model=str(self.model)), self.options)
        ids, matrix_ND = Run(self.run).embeddings
        return SourceVectors(ids, matrix_ND)


def _check_backbone(run: str, model: Path) -> None:
    """Raises UsageError unless the run's picture vectors are by the model's encoder, as those of its days will be."""
    made, wanted = (
        StageManifest.read(run, "features").facts.get("image_encoder_id"),
        read_model_manifest(model)["image_encoder_id"],
    )
    if made != wanted:
        raise UsageError(
            f"expected picture vectors by the image encoder {wanted} of {model.name}, got some by {quote(made)} in "
            f"{run}: leave siamese out, or train the sources beside the model"
        )


def _log_ends(run: str, model: Path, names: Sequence[str]) -> dict[str, float | None]:
    """The end of the log that each source has learnt from: None of one that has read none, ANY_DAY if not told."""
    opened = Run(run)
    return {name: _model_log_end_us(model) if name == ITEMSAGE else log_end_us(opened, name) for name in names}


def _model_log_end_us(model: Path) -> float | None:
    """The end of the log of an item model; None of one that trains on no engagement."""
    return None if Split.load(model).kind == "none" else told_end(read_model_manifest(model).get(LOG_END))


def _date_end_us(config: UnifyConfig) -> int | None:
    """The end of the log that weights are found on, None if they are given."""
    return end_of_day_us(config.date, config.time_zone)


def _training_run(store_path: str, model_id: str) -> str:
    """The run that the model was trained in. Raises UsageError if it is not there any more."""
    named = read_model_manifest(ITEM_MODELS.folder(store_path, model_id)).get("training_run")
    folder = storage.resolve_inside(store_path, named) if isinstance(named, str) else None
    if folder is None or not storage.is_folder(folder):
        raise UsageError(f"expected the training run of {model_id} in {store_path}, got none: name one with --run")
    return str(Path(store_path, str(named)))


def _install(
    store_path: str,
    fusion: Fusion,
    curve: Sequence[Mapping[str, object]],
    model_id: str,
    source_ids: Mapping[str, str],
    sources: Mapping[str, RunSource],
    end_us: float | None,
) -> UnifiedManifest:
    """Writes the folder beside where it belongs and moves it there; one that is there already stays, if it is whole."""
    models = Path(store_path, "models")
    hidden = models / f".unified-{uuid.uuid4().hex[:12]}"
    try:
        save_fusion(fusion, hidden / FUSION_FOLDER, curve)
        for name in fusion.dims:
            if name in sources:
                sources[name].copy_into(hidden)
        manifest = write_unified_manifest(hidden, fusion, model_id, source_ids, end_us)
        target = models / manifest.unified_id
        if not _is_whole(target):
            storage.remove_folder(target, ignore_errors=True)
            storage.move(hidden, target)
        return manifest
    finally:
        storage.remove_folder(hidden, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    """Whether a unified model is there as it was written. Says so of one that is there and is not."""
    if not storage.has(folder):
        return False
    try:
        UnifiedManifest.read(folder).check_files(folder)
    except (CorruptFileError, OSError) as error:
        print(f"unify: {folder} is damaged and is made again: {error}", flush=True)
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of(UnifyConfig, run, argv, "itemsage unify", EXAMPLE)
