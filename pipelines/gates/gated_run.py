"""What the gates ask of a run beside what opening it checks."""

import os
from pathlib import Path
from typing import Any

from model.nearest.index import TUNED_AT
from model.nearest.index_folder import MANIFEST_FILE, read_index_manifest
from model.nearest.refined import REFINED_FOLDER
from model.nearest.searched import SEARCHED, recall_by_kind
from pipelines.gates.counts import COVERED_STAGES
from pipelines.log.rows import LOG_STAGE
from pipelines.run.opened import DAMAGE, INDEX, Run
from pipelines.stages import StageLine, always, line_of
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import read_json
from schemas.quarantine import quote
from schemas.records.user_rows import USERS_STAGE
from schemas.storage import resolve_inside

__all__ = ["DAMAGE", "GatedRun", "counts_of_earlier"]


class GatedRun(Run):
    """A run as the gates see it. Everything raises one of DAMAGE for what is missing or not as promised."""

    @property
    def may_have_refined(self) -> bool:
        """Whether the run has a refined index, or the folder of one."""
        return self.has_refined or storage.has(self.folder / REFINED_FOLDER)

    def may_have(self, line: StageLine) -> bool:
        """Whether a stage has left anything that readers read."""
        return self.has(line.name) or any(storage.has(self.folder / folder) for folder in line.published)

    def expects(self, line: StageLine) -> bool:
        return line.day is always or self.may_have(line)

    def user_counts(self) -> dict[str, int] | None:
        """Counts of the users stage; None if the run has no users."""
        return self.counts(USERS_STAGE) if self.may_have(line_of(USERS_STAGE)) else None

    def log_counts(self) -> dict[str, int] | None:
        """Counts of the log stage; None if the run was given no log."""
        return self.counts(LOG_STAGE) if self.has(LOG_STAGE) else None

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

    def trained_on(self) -> dict[str, dict[str, int]] | None:
        """Stage -> counts of the training run of the run's model; None if it does not tell (older models)."""
        told = self.model().get("trained_on")
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

    def model(self) -> dict[str, Any]:
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
