"""Check of a run's pictures that came in its table: each that items list is there, and is what its name says."""

from pathlib import Path

from pipelines.ingest.table_pictures import listed_pictures
from pipelines.ingest.write_items import PICTURES_IN_TABLE
from pipelines.operations.findings import Finding
from pipelines.operations.inspected_run import InspectedRun
from schemas import storage
from schemas.files import sha256_of_file
from schemas.pictures.stored import STORED_FOLDER
from schemas.quarantine import quote

_REMEDY = "restore it or make the run again"


def check_table_pictures(run: InspectedRun) -> list[Finding]:
    """The finding on a run with such pictures; none for others. Reads each of them once."""
    items = run.stages.get("items", {})
    if not items.get("counts", {}).get(PICTURES_IN_TABLE) and not storage.has(run.run / STORED_FOLDER):
        return []
    finding = Finding("pictures of the table")
    listed: set[str] = set()
    with finding.guard("manifests/items.json"):
        for bucket in sorted(items["units"]):
            path = f"items/{bucket}.parquet"
            with finding.guard(path):
                if not run.damaged([path], finding):
                    listed.update(listed_pictures(run.run, bucket))
    num_sound = sum(_is_sound(run.run, path, finding) for path in sorted(listed))
    there = {
        Path(parent, name).relative_to(run.run).as_posix()
        for parent, _, names in storage.walk(run.run / STORED_FOLDER)
        for name in names
    }
    for path in sorted(there - listed):
        finding.warn(f"{quote(path)} is listed by no item")
    finding.looked_at = f"{num_sound:,} of {len(listed):,} sound"
    return [finding]


def _is_sound(run: Path, path: str, finding: Finding) -> bool:
    if not storage.has_file(run / path):
        finding.fail(f"expected the file {quote(path)}, got none: {_REMEDY}")
        return False
    sha256 = sha256_of_file(run / path)
    finding.expect(f"sha256 of {quote(path)} as its name says,", Path(path).name, sha256, _REMEDY)
    return sha256 == Path(path).name
