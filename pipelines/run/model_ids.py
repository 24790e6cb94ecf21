"""Whether all that a run has is of one model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from model.nearest.index_folder import read_index_manifest
from model.nearest.refined import REFINED_FOLDER
from pipelines.run.listed_files import EMBEDDINGS, INDEX
from pipelines.run.opened import Run
from schemas import storage
from schemas.quarantine import quote
from schemas.records.embeddings import read_embeddings_metadata
from schemas.records.user_rows import USERS_FOLDER


def wrong_model_ids(run: Run) -> tuple[int, list[str]]:
    """How many places were looked at, and words for each that names another model than the embeddings stage."""
    expected = run.model_id
    found = {
        "the index stage": run.manifest(INDEX).facts.get("model_id"),
        "the embeddings files": read_embeddings_metadata(run.folder / EMBEDDINGS)["model_id"],
        "index/manifest.json": read_index_manifest(run.folder / INDEX)["model_id"],
    }
    if run.has_refined:
        found[f"{REFINED_FOLDER}/manifest.json"] = read_index_manifest(run.folder / REFINED_FOLDER)["model_id"]
    for path in storage.paths_in(run.folder / USERS_FOLDER, "*.parquet"):
        found[f"{USERS_FOLDER}/{path.name}"] = _model_id_in(path)
    wrong = [f"{where} {quote(got)} instead of {quote(expected)}" for where, got in found.items() if got != expected]
    return len(found), wrong


def wrong_encoder_ids(run: Run, model: Mapping[str, Any]) -> tuple[int, list[str]]:
    """How many ids were looked at, and words for each part of the model, whose manifest is given, by which the features
    were not made."""
    made_with = run.manifest("features").facts
    ids = ["vocabulary_id", "image_encoder_id"]
    ids += ["text_encoder_id"] * ("text_encoder_id" in made_with or "text_encoder_id" in model)
    wrong = [
        f"the features {name} {quote(made_with.get(name))} instead of the model's {quote(model.get(name))}"
        for name in ids
        if made_with.get(name) != model.get(name)
    ]
    return len(ids), wrong


def _model_id_in(path: Path) -> str | None:
    metadata = pq.read_schema(path).metadata or {}
    found = metadata.get(b"model_id")
    return None if found is None else found.decode("utf-8", "replace")
