"""What may leave a store: the rule for runs as a pure function, and a look at a store that applies it."""

import datetime
import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.operations.rollback import default_target
from pipelines.store import history, store
from pipelines.store.models import MODEL_KINDS
from pipelines.store.run_files import read_object, size_of
from schemas import storage
from schemas.errors import CorruptFileError

_TRAINING_RUN = re.compile(r"training/[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9a-f]{16}")
#: Names of what a crash leaves: of an atomic write, of a model being installed, of `remove` beside this.
TEMPORARY_FILES, HIDDEN_MODELS, REMOVED = ".*.tmp", (".itemsage-*", ".unified-*"), ".*.removed"


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What decides over a run. Times in seconds since 1970. left_s: when readers left it at the latest, None if they
    never were there or are still; touched_s: its last change; previous: the run that it is compared with."""

    name: str
    is_completed: bool
    is_current: bool = False
    left_s: float | None = None
    touched_s: float = 0.0
    previous: str | None = None


@dataclass(frozen=True, kw_only=True)
class Doomed:
    """Something that goes; path relative to the store."""

    path: str
    kind: str
    bytes: int


def runs_to_keep(
    runs: Sequence[RunFacts], *, keep: int, min_age_s: float, now_s: float, rollback_target: str | None
) -> dict[str, str]:
    """Name -> why it stays, of `runs` in the order of store.completed_runs (oldest first). The others may go."""
    hours = f"{min_age_s / 3600:g} hours"
    newest = {run.name for run in [run for run in runs if run.is_completed][-keep:]} if keep else set()
    kept: dict[str, str] = {}
    for run in runs:
        if run.is_current:
            kept[run.name] = "readers see it"
        elif run.left_s is not None and now_s - run.left_s < min_age_s:
            kept[run.name] = f"readers left it less than {hours} ago"
        elif now_s - run.touched_s < min_age_s:
            kept[run.name] = f"{'finished' if run.is_completed else 'at work'} less than {hours} ago"
        elif run.name == rollback_target:
            kept[run.name] = "a rollback goes there"
        elif run.name in newest:
            kept[run.name] = f"one of the newest {keep}"
    _keep_what_they_are_compared_with({run.name: run for run in runs}, kept)
    return {run.name: kept[run.name] for run in runs if run.name in kept}


def _keep_what_they_are_compared_with(runs: Mapping[str, RunFacts], kept: dict[str, str]) -> None:
    """Adds to `kept` what its unfinished runs are compared with; what is added may be unfinished itself, and so on."""
    followed = list(kept)
    while followed:
        run = runs[followed.pop()]
        previous = run.previous
        if not run.is_completed and previous is not None and previous in runs and previous not in kept:
            kept[previous] = f"{run.name}, unfinished, is compared with it"
            followed.append(previous)


class Collector:
    """Looks at a store and decides: `kept` is path -> why, `doomed` what goes. Deletes nothing.

    Raises CorruptFileError if CURRENT is damaged: nobody can tell what readers see.
    """

    def __init__(self, folder: str, *, keep: int, min_age_hours: float, now_s: float, training_is_busy: bool):
        self.folder, self.now_s, self.min_age_s = Path(folder), now_s, min_age_hours * 3600
        self.kept: dict[str, str] = {}
        self.doomed: list[Doomed] = []
        store.current_run_or_none(folder)
        target = default_target(folder)
        facts = list(self._run_facts(folder))
        why_kept = runs_to_keep(
            facts,
            keep=keep,
            min_age_s=self.min_age_s,
            now_s=now_s,
            rollback_target=history.name_of(target) if target else None,
        )
        for run in facts:
            self._settle(run.name, "run", why_kept.get(run.name))
        if training_is_busy:
            self.kept["models, training"] = "a training run is at work"
        else:
            self._settle_training(self._settle_models(self._models_of_kept_runs()))
        self.doomed += self._leftovers()

    def _run_facts(self, folder: str) -> Iterator[RunFacts]:
        current, completed = store.named_run(folder), store.completed_runs(folder)
        now = datetime.datetime.fromtimestamp(self.now_s, datetime.UTC)
        for run in completed:
            left = history.superseded_at(folder, run, now) if history.was_published(folder, run) else None
            yield RunFacts(
                name=history.name_of(run),
                is_completed=True,
                is_current=history.name_of(run) == current,
                left_s=left.timestamp() if left else None,
                touched_s=storage.status(run / "COMPLETED").st_mtime,
            )
        for run in [run for run in store.run_folders(folder) if run not in completed]:
            previous = (_texts_of(run / "started.json") or {}).get("previous")
            yield RunFacts(name=history.name_of(run), is_completed=False, touched_s=size_of(run)[1], previous=previous)

    def _models_of_kept_runs(self) -> dict[str | None, str]:
        """Model id -> why it stays; key None if a kept run does not tell its model: then every model may be it."""
        in_use = [kind.named(str(self.folder)) for kind in MODEL_KINDS]
        named: dict[str | None, str] = {model_id: "daily runs use it" for model_id in in_use if model_id is not None}
        for name in self.kept:
            is_completed = storage.has_file(self.folder / name / "COMPLETED")
            manifest = self.folder / name / ("manifest.json" if is_completed else "manifests/embeddings.json")
            model_id = (_texts_of(manifest) or {}).get("model_id")
            named.setdefault(model_id, f"{name} {'is' if model_id else 'may be'} made with it")
            of_stage = _texts_of(self.folder / name / "manifests" / "unified.json") or {}
            if unified_id := of_stage.get("unified_id"):
                named.setdefault(unified_id, f"{name} is made with it")
        return named

    def _settle_models(self, named: Mapping[str | None, str]) -> list[Path]:
        """The models that stay."""
        folders = _folders(self.folder, "models", "*")
        models = [path for path in folders if any(kind.is_id(path.name) for kind in MODEL_KINDS)]
        return [path for path in models if self._settle_aged(path, "model", named.get(path.name) or named.get(None))]

    def _settle_training(self, models: Sequence[Path]) -> None:
        sources: dict[str | None, str] = {}
        for path in models:
            manifest = _texts_of(path / "manifest.json")
            if manifest is None:
                sources[None] = f"{path.name}, whose manifest is damaged, may come from it"
            elif "training_run" in manifest:
                sources[manifest["training_run"]] = f"{path.name} comes from it"
        for path in _folders(self.folder, "training", "*/*"):
            name = path.relative_to(self.folder).as_posix()
            if _TRAINING_RUN.fullmatch(name):
                self._settle_aged(path, "training run", sources.get(name) or sources.get(None))

    def _settle_aged(self, path: Path, kind: str, why_kept: str | None) -> bool:
        """Whether it stays, because of `why_kept` or its age."""
        is_young = self.now_s - size_of(path)[1] < self.min_age_s
        why_kept = why_kept or (f"at work or new less than {self.min_age_s / 3600:g} hours ago" if is_young else None)
        return self._settle(path.relative_to(self.folder).as_posix(), kind, why_kept)

    def _settle(self, name: str, kind: str, why_kept: str | None) -> bool:
        if why_kept is None:
            self.doomed.append(Doomed(path=name, kind=kind, bytes=size_of(self.folder / name)[0]))
        else:
            self.kept[name] = why_kept
        return why_kept is not None

    def _leftovers(self) -> Iterator[Doomed]:
        """Temporary files and hidden models older than the least age; folders that an earlier call was removing."""
        gone = {self.folder / doomed.path for doomed in self.doomed}
        for parent, folders, names in storage.walk(self.folder):
            inside = Path(parent)
            left = [inside / name for name in folders if self._is_left_folder(inside / name)]
            left += [inside / name for name in fnmatch.filter(names, TEMPORARY_FILES) if self._is_old(inside / name)]
            for path in sorted(left):
                yield Doomed(path=path.relative_to(self.folder).as_posix(), kind="leftover", bytes=size_of(path)[0])
            folders[:] = sorted(name for name in folders if inside / name not in gone.union(left))

    def _is_left_folder(self, path: Path) -> bool:
        kind = path.relative_to(self.folder).parts[0]
        if kind not in ("runs", "training", "models") or storage.is_link(path):
            return False
        is_hidden_model = kind == "models" and any(fnmatch.fnmatch(path.name, pattern) for pattern in HIDDEN_MODELS)
        return fnmatch.fnmatch(path.name, REMOVED) or (is_hidden_model and self._is_old(path))

    def _is_old(self, path: Path) -> bool:
        return self.now_s - size_of(path)[1] >= self.min_age_s


def _folders(folder: Path, kind: str, pattern: str) -> list[Path]:
    """Folders of the store that no link leads to."""
    found = [path for path in storage.paths_in(folder / kind, pattern) if storage.is_folder(path)]
    return [path for path in found if not any(storage.is_link(p) for p in (path, path.parent, folder / kind))]


def _texts_of(path: Path) -> dict[str, Any] | None:
    """What a JSON object has of strings and None; None if there is no such object."""
    try:
        value = read_object(path)
    except (CorruptFileError, OSError):
        return None
    return {name: text for name, text in value.items() if text is None or isinstance(text, str)}
