"""Checks of a run's files as a whole: manifests that agree, nothing unlisted, counts that add up, gates, pointers."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.items.manifest import MANIFEST_FILE, read_model_manifest
from pipelines.gates.results import ACCEPTED, FAILED, PASSED, SKIPPED
from pipelines.operations.findings import Finding
from pipelines.operations.inspected_run import InspectedRun
from pipelines.run.accounting import account
from pipelines.run.changes import CHANGES_FOLDERS
from pipelines.run.model_ids import wrong_encoder_ids, wrong_model_ids
from pipelines.stages import StageLine, lines_of_day, published_files, published_folders, published_lines, with_needs
from pipelines.store import store
from pipelines.store.models import ITEM_MODELS, UNIFIED_MODELS
from pipelines.store.run_files import gates_by_status
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import read_json, sha256_of_file
from schemas.hashing import fingerprint
from schemas.pictures.stored import STORED_FOLDER
from schemas.quarantine import quote
from schemas.records.manifests import StageManifest, sum_of
from schemas.storage import resolve_inside

#: What the run id is a hash of, where a daily run made it, and what it is of since runs say it.
_IDENTITY = ("code_versions", "config", "date", "inputs", "model_id")
_LATER_IDENTITY = ("time_zone", "unified_id")
_TOP_LEVEL = frozenset(
    ("manifest.json", "COMPLETED", "changes.json", "gates.json", "metrics.json", "started.json", "times.json")
)
#: Folders whose files no stage lists: sidecars and manifests are compared with each other, changes with the vectors,
#: the vectors of query pictures are a cache that evaluation checks, those of the table's pictures have their sha256 as
#: names, which check_table_pictures compares.
_UNLISTED_FOLDERS = frozenset(("units", "manifests", *CHANGES_FOLDERS.values(), "query_pictures", STORED_FOLDER))
_UNLISTED_FILES = frozenset(("index/times.json", "refined_index/times.json"))
_TEMPORARY = re.compile(r"\..*\.tmp")


def check_completed(run: InspectedRun) -> Finding:
    """COMPLETED is the sha256 of manifest.json; the run id is the folder's name and the hash of what went in."""
    finding = Finding("finished", f"COMPLETED, manifest.json of {run.run.name}")
    if not run.was_published:
        stopped = ", ".join(map(quote, _failed_gates(run)))
        why = f"its gates stopped it: {stopped}" if stopped else "it is at work, or was stopped"
        finding.fail(f"expected a finished run, got one that was never published: {why}; readers do not see it")
        return finding
    with finding.guard("COMPLETED and manifest.json"):
        completed = storage.text_of(run.run / "COMPLETED", errors="replace").strip()
        remedy = "restore manifest.json or make the run again"
        got = sha256_of_file(run.run / "manifest.json")
        finding.expect("sha256 of manifest.json as COMPLETED has it,", quote(completed), quote(got), remedy)
        finding.expect("run_id in manifest.json", quote(run.run.name), quote(run.manifest.get("run_id")), remedy)
        finding.expect("date in manifest.json", quote(run.run.parent.name), quote(run.manifest.get("date")), remedy)
        if all(name in run.manifest for name in _IDENTITY):
            names = [*_IDENTITY, *(name for name in _LATER_IDENTITY if name in run.manifest)]
            identity = fingerprint({name: run.manifest[name] for name in names})
            finding.expect("the hash of what went in as run id", run.run.name, identity, remedy)
    return finding


def check_agreement(run: InspectedRun) -> Finding:
    """Stage manifests are the sums of their sidecars, manifest.json lists what the stages list, one model id."""
    finding = Finding("agreement", f"{len(run.sidecars):,} sidecars with {len(run.stages)} stage manifests")
    for stage, manifest in sorted(run.stages.items()):
        with finding.guard(f"manifests/{stage}.json"):
            _check_sidecars(run, stage, manifest, finding)
    unfinished = sorted({stage for stage, _ in run.sidecars} - run.stages.keys())
    finding.warnings += [f"units of {quote(stage)} without manifests/{stage}.json" for stage in unfinished]
    if not run.stages:
        finding.fail("not compared: no stage has a manifest that can be read")
    for unreadable in sorted(run.unreadable):
        if unreadable.startswith(("manifests/", "units/")):
            finding.fail(f"not compared: {quote(unreadable)} is damaged")
    if run.was_published:
        _check_manifest(run, finding)
    return finding


def _check_manifest(run: InspectedRun, finding: Finding) -> None:
    """manifest.json against the stages, and the records that it has the checksums of."""
    with finding.guard("the stages' manifests"):
        manifests = {line.name: run.stages[line.name] for line in published_lines() if run.expects(line)}
        if run.manifest.get("files") != published_files(manifests):
            finding.fail("expected the files of embeddings, index and users in manifest.json, got others")
        expected = manifests["embeddings"]["model_id"]
        finding.expect(
            "model_id in manifest.json", quote(expected), quote(run.manifest.get("model_id")), "publish again"
        )
        if run.sound.issuperset(path for folder in published_folders() for path in run.listed(folder)):
            _, wrong = wrong_model_ids(run.opened)
            finding.problems += [f"expected one model id, got {'; '.join(wrong)}"] if wrong else []
        finding.expect(
            "buckets of features", run.stages["items"]["num_buckets"], _buckets(run, "features"), "run it again"
        )
        finding.expect(
            "buckets of the store", store.num_buckets_of(str(run.store)), _buckets(run, "items"), "see store.json"
        )
        index = read_json(run.run / "index" / "manifest.json")
        facts = {name: value for name, value in index.items() if name != "files"}
        if facts != {name: run.stages["index"].get(name) for name in facts}:
            finding.fail("expected the facts of index/manifest.json in manifests/index.json, got others")
    for name, sha256 in run.manifest.get("records", {}).items():
        with finding.guard(quote(name)):
            path = resolve_inside(run.run, name)
            if path is None:
                raise CorruptFileError(f"expected a file inside the run, got {quote(name)} in manifest.json")
            finding.expect(f"sha256 of {quote(name)}", quote(sha256), quote(sha256_of_file(path)), "restore it")


def _buckets(run: InspectedRun, stage: str) -> Any:
    return run.stages[stage]["num_buckets"]


def _check_sidecars(run: InspectedRun, stage: str, manifest: dict[str, Any], finding: Finding) -> None:
    where = f"manifests/{stage}.json"
    if any(name.startswith(f"units/{stage}/") for name in run.unreadable):
        return  # told by name
    sidecars = [sidecar for (name, _), sidecar in sorted(run.sidecars.items()) if name == stage]
    made, written = sum_of(sidecars, stage, {}), StageManifest.from_json(manifest, where)
    if odd := sorted(made.units.keys() ^ written.units.keys()):
        got = ", ".join(map(quote, odd[:5]))
        finding.fail(f"expected the same units in {where} and units/{stage}/, got {got} in one of them")
        return
    finding.expect(f"stage in {where}", quote(stage), quote(written.stage), "run the stage again")
    for what in ("units", "counts", "files"):
        if getattr(made, what) != getattr(written, what):
            finding.fail(f"expected {what} as the sidecars in units/{stage}/ have them, got others in {where}")
    if stage == "items" and {unit["fingerprint"] for unit in manifest["units"].values()} != {manifest["fingerprint"]}:
        finding.fail(f"expected one fingerprint, got several in {where}: run the stage again")


def check_unlisted(run: InspectedRun) -> Finding:
    """Files that no manifest names, and temporary ones that a killed process left: warnings."""
    finding = Finding("unlisted files")
    num_files = 0
    for name in _walk(run.run):
        num_files += 1
        base = name.rpartition("/")[2]
        known = name in run.entries or name in _TOP_LEVEL or name in _UNLISTED_FILES
        if _TEMPORARY.fullmatch(base):
            finding.warn(
                f"{quote(name)} was left by a process that was killed: `itemsage gc` removes it once it is older "
                "than --min-age-hours"
            )
        elif not known and name.partition("/")[0] not in _UNLISTED_FOLDERS:
            finding.warn(f"{quote(name)} is named by no manifest: readers of the folder may take it for data")
    finding.looked_at = f"{len(finding.warnings) or 'none'} of {num_files:,} files"
    return finding


def _walk(folder: Path) -> Iterator[str]:
    for parent, folders, names in storage.walk(folder):
        folders.sort()
        yield from (Path(parent, name).relative_to(folder).as_posix() for name in sorted(names))


def check_counts(run: InspectedRun) -> Finding:
    """The identities that publishing checks, and the published counts against those of the stages."""
    finding = Finding("counts")
    with finding.guard("the counts of the manifests"):
        stages = {line.name: run.stages[line.name]["counts"] for line in lines_of_day() if run.expects(line)}
        items, features, embeddings = (stages[name] for name in with_needs("embeddings"))
        published = run.manifest.get("counts", {})
        if "rows_new" not in embeddings:
            finding.warn("made by an earlier version: what was reused is not known")
            return finding
        if "rows_in_future" in stages.get("users", {}):
            finding.warn("users made by an earlier version, which counted rows otherwise: not added up")
            del stages["users"]
        counts = account(stages)
        finding.looked_at = ", ".join(
            f"{name} {counts[name]:,}" for name in ("rows_read", "rows_published", "pictures_listed")
        )
        for name, value in counts.items() if run.was_published else ():
            finding.expect(f"{name} in manifest.json", value, published.get(name), "the stages' counts are others")
        finding.expect("items read by features", items["rows_written"], features["items_read"], "run features again")
        finding.expect("records read by embed", features["items_written"], embeddings["rows_read"], "run embed again")
    return finding


def check_stage(run: InspectedRun, line: StageLine) -> Finding:
    """What a stage's own Stage finds, of one that publishes and that verify looks into no deeper."""
    finding = Finding(line.name)
    with finding.guard(f"the stage {line.name}"):
        if not run.damaged([str(entry["path"]) for entry in run.stages[line.name]["files"]], finding):
            stage = line.load()
            finding.problems += stage.problems(run.opened)
            finding.looked_at = stage.soundness(run.opened)
    return finding


def check_gates(run: InspectedRun) -> Finding:
    """Every gate passed, or was accepted with a reason that manifest.json keeps."""
    finding = Finding("gates")
    path = run.run / "gates.json"
    if not storage.has_file(path):
        why = "published without gates, by an earlier version" if run.was_published else "it has not come to its gates"
        finding.warn(f"no gates.json: {why}")
        return finding
    with finding.guard("gates.json"):
        gates = read_json(path)["gates"]
        finding.looked_at = f"{len(gates)} gates"
        accepted = run.manifest.get("accepted", {})
        for gate in gates:
            name, status = gate["name"], gate["status"]
            if status not in (PASSED, SKIPPED, ACCEPTED):
                why = f": {quote(gate['message'])}" if gate.get("message") else ""
                finding.fail(f"expected gate {quote(name)} passed or accepted, got {quote(status)} in gates.json{why}")
            elif status == ACCEPTED:
                reason = accepted.get(name)
                finding.warn(f"gate {quote(name)} failed and was accepted: {quote(reason)}")
                if not reason and run.was_published:
                    finding.fail(f"expected the reason for accepting {quote(name)} in manifest.json, got none")
    return finding


def _failed_gates(run: InspectedRun) -> list[str]:
    """Names, as gates.json has them; none where it cannot be read: check_gates tells why."""
    try:
        return gates_by_status(run.run).get(FAILED, [])
    except (CorruptFileError, KeyError, TypeError):
        return []


def check_pointers(run: InspectedRun) -> Finding:
    """CURRENT names a finished run of the store, models/CURRENT a model, models/UNIFIED, if any, a unified model."""
    finding = Finding("pointers", "CURRENT, models/CURRENT")
    with finding.guard("CURRENT"):
        current = store.current_run_or_none(str(run.store))
        if current is None:
            finding.warn("CURRENT: nothing is published")
        elif not storage.is_same_place(current, run.run):
            finding.warn(f"readers see {current.parent.name}/{current.name}, not this run")
    with finding.guard("models/CURRENT"):
        ITEM_MODELS.current(str(run.store))
    if UNIFIED_MODELS.has_current(str(run.store)):
        finding.looked_at += ", models/UNIFIED"
        with finding.guard("models/UNIFIED"):
            UNIFIED_MODELS.current(str(run.store))
    return finding


def check_model(run: InspectedRun) -> Finding:
    """The model's folder: id, sha256 of every file, nothing else; features made with its vocabulary and encoder."""
    finding = Finding("model")
    with finding.guard("the model's folder"):
        folder = ITEM_MODELS.folder(str(run.store), str(run.model_id))
        manifest = read_model_manifest(folder)
        finding.looked_at = f"{manifest['model_id']}, {len(manifest['files'])} files"
        finding.expect(
            "model_id of the folder", folder.name, quote(manifest["model_id"]).strip("'"), "restore the model"
        )
        for name in sorted(manifest["files"]):
            with finding.guard(f"the model's {quote(name)}"):
                if os.path.isabs(name) or ".." in Path(name).parts:
                    raise CorruptFileError(f"expected a file of the model, got {quote(name)} in {MANIFEST_FILE}")
                read_model_manifest(folder, check=[name])
        for name in _walk(folder):
            if name not in manifest["files"] and name != MANIFEST_FILE:
                finding.warn(f"{quote(name)} is not part of the model in {folder}")
        _, wrong = wrong_encoder_ids(run.opened, manifest)
        finding.problems += [f"expected the model's, got {other}: run features again" for other in wrong]
    return finding
