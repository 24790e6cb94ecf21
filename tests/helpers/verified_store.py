"""What the tests of `itemsage verify` ask of a store, and how its files are forged so that every checksum fits."""

from pathlib import Path

from pipelines.operations.findings import FAILED
from pipelines.operations.verify.job import verify_run
from pipelines.store import store
from schemas.files import read_json, sha256_of_file, write_json, write_sealed_json, write_text


def current(folder: Path) -> Path:
    """The run that readers see."""
    return store.current_run(str(folder))


def problems(folder: Path) -> dict[str, str]:
    """check -> its problems, of the checks that failed."""
    found = verify_run(folder, current(folder))
    return {each.check: "\n".join(each.problems) for each in found if each.status == FAILED}


def reseal(run: Path, stage: str, folders: tuple[str, ...], **facts: object) -> None:
    """Makes every checksum fit the files of these folders, which the stage wrote, as somebody would who wants them
    believed. facts: of the stage's manifest."""
    for document in (run / f"manifests/{stage}.json", *(run / "units" / stage).glob("*.json"), run / "manifest.json"):
        value = read_json(document)
        value.pop("checksum", None)
        for entry in value["files"]:
            if entry["path"].startswith(folders):
                entry["bytes"] = (run / entry["path"]).stat().st_size
                entry["sha256"] = sha256_of_file(run / entry["path"])
        if document.parent.name == "manifests":
            value |= facts
        (write_json if document.name == "manifest.json" else write_sealed_json)(document, value)
    value = read_json(run / "manifest.json")
    records = {name: sha256_of_file(run / name) for name in value["records"]}
    write_json(run / "manifest.json", value | {"records": records})
    write_text(run / "COMPLETED", sha256_of_file(run / "manifest.json") + "\n")
