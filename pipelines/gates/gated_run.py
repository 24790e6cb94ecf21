"""A run's finished outputs as the gates read them: each file is held against what the stages' manifests promise."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.nearest.index import ANNOY_FILE, IDS_FILE, MANIFEST_FILE, TUNED_AT, read_index_manifest
from model.nearest.refined import NEAR_DUPLICATES_FILE, REFINED_FOLDER
from model.nearest.searched import SEARCHED, open_searched, recall_by_kind
from pipelines.gates.counts import COVERED_STAGES
from pipelines.gates.refined import open_refined, read_refined_facts, refined_problems
from pipelines.gates.users import check_users_file
from pipelines.log.rows import LOG_STAGE
from pipelines.run.units import read_stage_manifest
from schemas.embeddings import read_embeddings, read_embeddings_metadata, validate_embeddings
from schemas.errors import CorruptFileError, UsageError
from schemas.files import check_sha256, expand_inputs, read_json
from schemas.quarantine import quote
from schemas.storage import resolve_inside
from schemas.user_rows import USERS_FOLDER, USERS_STAGE

#: What reading a damaged run raises.
DAMAGE = (CorruptFileError, UsageError, OSError, pa.ArrowException)
_METRICS_FILE = "metrics.json"
_EMBEDDINGS, _INDEX = "embeddings", "index"
#: Vectors of the index that are held against the embeddings.
_VECTORS_COMPARED = 1_000


class GatedRun:
    """Reads a run folder, each part once and only when a gate asks. Everything raises CorruptFileError, UsageError,
    OSError or ArrowException (DAMAGE) for what is missing or not as promised.

    `twin`: another run whose vectors stand for this one's, which are then not decoded, if both have files of equal
    sha256.
    """

    def __init__(self, folder: Path, twin: "GatedRun | None" = None):
        self.folder, self.twin = folder, twin
        self._manifests: dict[str, dict[str, Any]] = {}

    def manifest(self, stage: str) -> dict[str, Any]:
        """A stage's manifest; counts are whole numbers >= 0, files have path, sha256 and bytes."""
        if stage not in self._manifests:
            manifest = read_stage_manifest(str(self.folder), stage)
            try:
                good = all(type(count) is int and count >= 0 for count in manifest["counts"].values()) and all(
                    isinstance(entry["path"], str) and isinstance(entry["sha256"], str) and type(entry["bytes"]) is int
                    for entry in manifest["files"]
                )
            except (KeyError, TypeError, AttributeError):
                good = False
            if not good:
                path = self.folder / "manifests" / f"{stage}.json"
                raise CorruptFileError(f"expected counts and files, got {quote(str(manifest))} in {path}")
            self._manifests[stage] = manifest
        return self._manifests[stage]

    def counts(self, stage: str) -> dict[str, int]:
        return self.manifest(stage)["counts"]

    @property
    def model_id(self) -> str:
        """The model of the embeddings stage."""
        found = self.manifest(_EMBEDDINGS).get("model_id")
        if not isinstance(found, str):
            raise CorruptFileError(f"expected a model_id, got {quote(found)} in manifests/{_EMBEDDINGS}.json")
        return found

    def files(self, stage: str, folder: str) -> dict[str, str]:
        """Path inside the run -> sha256 of the files that a stage has in `folder` ("": in all folders)."""
        listed = self.manifest(stage)["files"]
        return {
            entry["path"]: entry["sha256"]
            for entry in listed
            if entry["path"].startswith(f"{folder}/" if folder else "")
        }

    @cached_property
    def vectors(self) -> tuple[pa.Array, np.ndarray]:
        """Ids (string, ascending) and float32 unit rows [N, D], of files that are as their checksums, all of them."""
        listed = self.files(_EMBEDDINGS, _EMBEDDINGS)
        folder = self.folder / _EMBEDDINGS
        found = {Path(path).relative_to(self.folder).as_posix() for path in expand_inputs(str(folder))}
        if differing := sorted(found ^ listed.keys()):
            names = ", ".join(map(quote, differing[:3]))
            raise CorruptFileError(
                f"expected the files of manifests/{_EMBEDDINGS}.json in {folder}, got other: {names}"
            )
        for name, sha256 in listed.items():
            self.checked_file(name, sha256)
        if self.twin is not None and listed == self.twin.files(_EMBEDDINGS, _EMBEDDINGS):
            return self.twin.vectors  # only now: a file that is damaged has the twin's checksum in its manifest alone
        for name in listed:
            _check_order(self._inside(name))
        ids, matrix_ND = read_embeddings(folder)
        validate_embeddings(ids, matrix_ND, str(folder))
        counted = self.counts(_EMBEDDINGS).get("rows_written")
        if len(ids) != counted or not len(ids):
            raise CorruptFileError(f"expected {counted} vectors, 1 or more, got {len(ids)} in {folder}")
        return ids, matrix_ND

    def check_index(self) -> None:
        """Raises unless index/ is what its stage wrote, byte for byte, with the embeddings' ids and vectors."""
        listed = self.files(_INDEX, _INDEX)
        wanted = {f"{_INDEX}/{name}" for name in (ANNOY_FILE, IDS_FILE, MANIFEST_FILE)}
        if not wanted <= listed.keys():
            raise CorruptFileError(f"expected {sorted(wanted)} in manifests/{_INDEX}.json, got {quote(sorted(listed))}")
        for name in sorted(listed):  # before anything is given to Annoy: a foreign file can end the process
            self.checked_file(name, listed[name])
        index, index_ids, manifest = open_searched(self.folder / _INDEX)
        for name, entry in manifest["files"].items():
            if not isinstance(entry, dict) or entry.get("sha256") != listed.get(f"{_INDEX}/{name}"):
                raise CorruptFileError(
                    f"expected one sha256 of {name} in {_INDEX}/{MANIFEST_FILE} and its stage, got two"
                )
        ids, matrix_ND = self.vectors
        if not index_ids.equals(ids):
            expected = f"the {len(ids):,} ids of the embeddings"
            raise CorruptFileError(f"expected {expected}, in their order, got {len(index_ids):,} others in {IDS_FILE}")
        rows = np.unique(np.linspace(0, len(ids) - 1, _VECTORS_COMPARED, dtype=np.int64))
        if index.dim != matrix_ND.shape[1] or not np.array_equal(index.vectors(rows), matrix_ND[rows]):
            raise CorruptFileError(
                f"expected the vectors of the embeddings, got others in {ANNOY_FILE}: another day's?"
            )

    @property
    def has_refined(self) -> bool:
        """Whether the run has a refined index, or the folder of one."""
        return bool(self.files(_INDEX, REFINED_FOLDER)) or (self.folder / REFINED_FOLDER).exists()

    def check_refined(self) -> int:
        """How many items the refined index keeps. Raises unless refined_index/ is what its stage wrote, byte for byte,
        and made from the embeddings."""
        listed = self.files(_INDEX, REFINED_FOLDER)
        wanted = {f"{REFINED_FOLDER}/{name}" for name in (ANNOY_FILE, IDS_FILE, MANIFEST_FILE, NEAR_DUPLICATES_FILE)}
        if not wanted <= listed.keys():
            raise CorruptFileError(f"expected {sorted(wanted)} in manifests/{_INDEX}.json, got {quote(sorted(listed))}")
        for name, sha256 in listed.items():
            self.checked_file(name, sha256)
        refined = open_refined(self.folder / REFINED_FOLDER)
        for problem in refined_problems(refined, *self.vectors):
            raise CorruptFileError(problem)
        return len(refined.kept_ids)

    def refined_facts(self) -> dict[str, Any]:
        """How the refined index was made and how large it is."""
        return read_refined_facts(self.folder / REFINED_FOLDER)

    @property
    def has_users(self) -> bool:
        """Whether the users stage has left anything."""
        return any(
            path.exists() for path in (self.folder / "manifests" / f"{USERS_STAGE}.json", self.folder / USERS_FOLDER)
        )

    def user_counts(self) -> dict[str, int] | None:
        """Counts of the users stage; None if the run has no users."""
        return self.counts(USERS_STAGE) if self.has_users else None

    def has(self, stage: str) -> bool:
        """Whether a stage is finished."""
        return (self.folder / "manifests" / f"{stage}.json").exists()

    def log_counts(self) -> dict[str, int] | None:
        """Counts of the log stage; None if the run was given no log."""
        return self.counts(LOG_STAGE) if self.has(LOG_STAGE) else None

    def check_users(self) -> int:
        """How many users the run has. Raises unless every file of the users stage is what its stage wrote, byte for
        byte, and users/ is made from the embeddings."""
        for name, sha256 in self.files(USERS_STAGE, "").items():
            self.checked_file(name, sha256)
        num_buckets, listed = self.manifest(USERS_STAGE).get("num_user_buckets"), self.files(USERS_STAGE, USERS_FOLDER)
        found = {f"{USERS_FOLDER}/{path.name}" for path in (self.folder / USERS_FOLDER).glob("*.parquet")}
        if type(num_buckets) is not int or found != listed.keys() or len(found) != num_buckets:
            raise CorruptFileError(
                f"expected a file for each of {num_buckets} buckets in {USERS_FOLDER}/, got {len(found)}"
            )
        ids, matrix_ND = self.vectors
        num_users = sum(
            len(check_users_file(Path(self._inside(name)), ids, matrix_ND, self.model_id, bucket, num_buckets).ids)
            for bucket, name in enumerate(sorted(listed))
        )
        if num_users != self.counts(USERS_STAGE).get("users_written"):
            raise CorruptFileError(f"expected {self.counts(USERS_STAGE).get('users_written')} users, got {num_users}")
        return num_users

    def index_recall(self, folder: str = _INDEX) -> float:
        """recall@10 that was measured when the index in `folder` was built."""
        path = self.folder / folder / MANIFEST_FILE
        try:
            recall = read_json(path)["recall"][str(TUNED_AT)]
            if 0 <= recall <= 1:
                return float(recall)
        except (KeyError, TypeError):
            pass
        raise CorruptFileError(f"expected recall@{TUNED_AT} from 0 to 1 in {path}, got none: run the index stage again")

    def searched_recalls(self) -> dict[str, float]:
        """recall@10 of each kind of query through what our own searches use, measured when the index was built; without
        items where that is the index itself."""
        manifest = read_json(self.folder / _INDEX / MANIFEST_FILE)
        found = {kind: float(recall[str(TUNED_AT)]) for kind, recall in recall_by_kind(manifest).items()}
        if not (SEARCHED in manifest and manifest[SEARCHED].get("distinct")):
            del found["item"]
        return found

    def metrics(self) -> Any:
        """The evaluation's report, None if there is none."""
        path = self.folder / _METRICS_FILE
        return read_json(path) if path.is_file() else None

    def foreign_model_ids(self) -> tuple[int, list[str]]:
        """How many places were looked at, and words for each that names another model than the embeddings stage."""
        expected = self.model_id
        found = {"the index stage": self.manifest(_INDEX).get("model_id")}
        found["the embeddings files"] = read_embeddings_metadata(self.folder / _EMBEDDINGS)["model_id"]
        found["index/manifest.json"] = read_index_manifest(self.folder / _INDEX)["model_id"]
        if self.files(_INDEX, REFINED_FOLDER):
            found[f"{REFINED_FOLDER}/manifest.json"] = read_index_manifest(self.folder / REFINED_FOLDER)["model_id"]
        for path in sorted((self.folder / USERS_FOLDER).glob("*.parquet")):
            found[f"users/{path.name}"] = _model_id_in(path)
        wrong = [
            f"{where} {quote(got)} instead of {quote(expected)}" for where, got in found.items() if got != expected
        ]
        made_with = self.manifest("features")
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

    def checked_file(self, name: str, sha256: str) -> str:
        """The path of a file of the run, by its path inside the run, whose content is as its checksum."""
        path = self._inside(name)
        check_sha256(path, sha256)
        return path

    def _inside(self, name: str) -> str:
        path = resolve_inside(self.folder, name)
        if path is None or not os.path.isfile(path):
            raise CorruptFileError(f"expected the file {quote(name)} in {self.folder}, got none")
        return path


def counts_of_earlier(run: Path | None, stage: str) -> dict[str, int]:
    """A stage's counts of the run before; empty where there are none that can be read: gates that compare say so."""
    try:
        return GatedRun(run).counts(stage) if run is not None else {}
    except DAMAGE:
        return {}


def _check_order(path: str) -> None:
    """Raises CorruptFileError unless the file's own rows ascend by id (readers merge files by it)."""
    with pq.ParquetFile(path) as file:
        ids = file.read(columns=["item_id"])["item_id"].combine_chunks()
    if len(ids) > 1 and not pc.all(pc.less(ids[:-1], ids[1:])).as_py():
        raise CorruptFileError(f"expected unique ids in ascending order in {path}, got another order: embed again")


def _model_id_in(path: Path) -> str | None:
    metadata = pq.read_schema(path).metadata or {}
    found = metadata.get(b"model_id")
    return None if found is None else found.decode("utf-8", "replace")
