"""What the gates ask of a run beside what opening it checks."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from model.nearest.index import ANNOY_FILE, IDS_FILE, MANIFEST_FILE, TUNED_AT, read_index_manifest
from model.nearest.refined import REFINED_FOLDER
from model.nearest.searched import SEARCHED, recall_by_kind
from pipelines.gates.counts import COVERED_STAGES
from pipelines.log.rows import LOG_STAGE
from pipelines.run.opened import DAMAGE, EMBEDDINGS, INDEX, Run
from pipelines.run.refined_index import refined_problems
from schemas import storage
from schemas.embeddings import read_embeddings_metadata
from schemas.errors import CorruptFileError
from schemas.files import read_json
from schemas.quarantine import quote
from schemas.storage import resolve_inside
from schemas.user_rows import USERS_FOLDER, USERS_STAGE

__all__ = ["DAMAGE", "GatedRun", "counts_of_earlier"]
#: Vectors of the index that are held against the embeddings.
_VECTORS_COMPARED = 1_000


class GatedRun(Run):
    """A run as the gates see it. Everything raises one of DAMAGE for what is missing or not as promised."""

    def check_vectors(self) -> int:
        """How many vectors the run has. Raises unless there is one, and all are sound."""
        if not len(self.embeddings.ids):
            raise CorruptFileError(f"expected 1 vector or more, got 0 in {self.folder / EMBEDDINGS}")
        return len(self.embeddings.ids)

    def check_index(self) -> None:
        """Raises unless index/ is what its stage wrote, byte for byte, with the ids and vectors that it is of."""
        index, index_ids, _ = self.index
        ids, matrix_ND = self.searched_vectors
        if not index_ids.equals(ids):
            expected = f"the {len(ids):,} ids of {self.searched}/"
            raise CorruptFileError(f"expected {expected}, in their order, got {len(index_ids):,} others in {IDS_FILE}")
        rows = np.unique(np.linspace(0, len(ids) - 1, _VECTORS_COMPARED, dtype=np.int64))
        if index.dim != matrix_ND.shape[1] or not np.array_equal(index.vectors(rows), matrix_ND[rows]):
            raise CorruptFileError(
                f"expected the vectors of {self.searched}/, got others in {ANNOY_FILE}: another day's?"
            )

    @property
    def may_have_refined(self) -> bool:
        """Whether the run has a refined index, or the folder of one."""
        return self.has_refined or storage.has(self.folder / REFINED_FOLDER)

    def check_refined(self) -> int:
        """How many items the refined index keeps. Raises unless refined_index/ is what its stage wrote, byte for byte,
        and made from the vectors that the index is of."""
        for problem in refined_problems(self.refined, *self.searched_vectors):
            raise CorruptFileError(problem)
        return len(self.refined.kept_ids)

    @property
    def may_have_users(self) -> bool:
        """Whether the users stage has left anything."""
        return self.has(USERS_STAGE) or storage.has(self.folder / USERS_FOLDER)

    def user_counts(self) -> dict[str, int] | None:
        """Counts of the users stage; None if the run has no users."""
        return self.counts(USERS_STAGE) if self.may_have_users else None

    def log_counts(self) -> dict[str, int] | None:
        """Counts of the log stage; None if the run was given no log."""
        return self.counts(LOG_STAGE) if self.has(LOG_STAGE) else None

    def check_users(self) -> int:
        """How many users the run has. Raises unless every file of the users stage is what its stage wrote, byte for
        byte, and users/ is made from the embeddings."""
        self.check_files(USERS_STAGE)
        num_files = len(self.checked_folder(USERS_FOLDER))
        if num_files != self.num_user_buckets:
            raise CorruptFileError(
                f"expected a file for each of {self.num_user_buckets} buckets in {USERS_FOLDER}/, got {num_files}"
            )
        num_users = sum(len(self.users(bucket).ids) for bucket in range(num_files))
        if num_users != (counted := self.manifest(USERS_STAGE).count("users_written")):
            raise CorruptFileError(f"expected {counted} users, got {num_users}")
        return num_users

    def index_recall(self, folder: str = INDEX) -> float:
        """recall@10 that was measured when the index in `folder` was built."""
        manifest = read_index_manifest(self.folder / folder)
        return float(recall_by_kind({"recall": manifest.get("recall")})["item"][str(TUNED_AT)])

    def searched_recalls(self) -> dict[str, float]:
        """recall@10 of each kind of query through what our own searches use, measured when the index was built; without
        items where that is the index itself."""
        manifest = read_json(self.folder / INDEX / MANIFEST_FILE)
        found = {kind: float(recall[str(TUNED_AT)]) for kind, recall in recall_by_kind(manifest).items()}
        if not (SEARCHED in manifest and manifest[SEARCHED].get("distinct")):
            del found["item"]
        return found

    def foreign_model_ids(self) -> tuple[int, list[str]]:
        """How many places were looked at, and words for each that names another model than the embeddings stage."""
        expected = self.model_id
        found = {"the index stage": self.manifest(INDEX).facts.get("model_id")}
        found["the embeddings files"] = read_embeddings_metadata(self.folder / EMBEDDINGS)["model_id"]
        found["index/manifest.json"] = read_index_manifest(self.folder / INDEX)["model_id"]
        if self.has_refined:
            found[f"{REFINED_FOLDER}/manifest.json"] = read_index_manifest(self.folder / REFINED_FOLDER)["model_id"]
        for path in storage.paths_in(self.folder / USERS_FOLDER, "*.parquet"):
            found[f"users/{path.name}"] = _model_id_in(path)
        wrong = [
            f"{where} {quote(got)} instead of {quote(expected)}" for where, got in found.items() if got != expected
        ]
        made_with = self.manifest("features").facts
        model = self._model()
        ids = ["vocabulary_id", "image_encoder_id"]
        ids += ["text_encoder_id"] * ("text_encoder_id" in made_with or "text_encoder_id" in model)
        for name in ids:
            if made_with.get(name) != model.get(name):
                got, wanted = quote(made_with.get(name)), quote(model.get(name))
                wrong.append(f"the features {name} {got} instead of the model's {wanted}")
        return len(found) + len(ids), wrong

    def trained_on(self) -> dict[str, dict[str, int]] | None:
        """Stage -> counts of the training run of the run's model; None if it does not tell (older models)."""
        told = self._model().get("trained_on")
        if told is None:
            return None
        try:
            counts = {stage: dict(told[stage]) for stage in COVERED_STAGES}
            if all(type(count) is int and count >= 0 for stage in counts.values() for count in stage.values()):
                return counts
        except (KeyError, TypeError, ValueError):
            pass
        raise CorruptFileError(
            f"expected counts of {COVERED_STAGES} in trained_on, got {quote(str(told))} in the model"
        )

    def _model(self) -> dict[str, Any]:
        """The manifest of the run's model: <store>/models/<model id>, for readers cannot ask queries without it."""
        models = Path(os.path.abspath(self.folder / "../../../models"))
        path = resolve_inside(models, f"{self.model_id}/manifest.json")
        manifest = read_json(path) if path is not None else None
        if not isinstance(manifest, dict):
            raise CorruptFileError(f"expected the manifest of model {quote(self.model_id)} in {models}, got none")
        return manifest


def counts_of_earlier(run: Path | None, stage: str) -> dict[str, int]:
    """A stage's counts of the run before; empty where there are none that can be read: gates that compare say so."""
    try:
        return Run(run).counts(stage) if run is not None else {}
    except DAMAGE:
        return {}


def _model_id_in(path: Path) -> str | None:
    metadata = pq.read_schema(path).metadata or {}
    found = metadata.get(b"model_id")
    return None if found is None else found.decode("utf-8", "replace")
