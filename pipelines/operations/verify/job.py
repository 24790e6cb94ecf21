"""`itemsage verify`: checks every file, count, schema, norm and id of a run; with --rebuild a sample is computed again.

    itemsage verify --store store --rebuild 100 --image-root images

All checks run, whatever the others find: a damaged run gives the list of all that is wrong with it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.nearest.refined import REFINED_FOLDER
from pipelines.console.exit_codes import EXIT_DONE, EXIT_FAULT, exit_code
from pipelines.console.jobs import flag, parse_alone
from pipelines.operations.findings import Finding, report
from pipelines.operations.inspected_run import read_run
from pipelines.operations.verify.buckets import check_buckets, check_quarantine
from pipelines.operations.verify.files import (
    check_agreement,
    check_completed,
    check_counts,
    check_gates,
    check_model,
    check_pointers,
    check_stage,
    check_unlisted,
)
from pipelines.operations.verify.pictures import check_table_pictures
from pipelines.operations.verify.rebuild import check_rebuild
from pipelines.operations.verify.unified import check_rebuilt_unified, check_unified_model
from pipelines.operations.verify.users import check_users
from pipelines.operations.verify.vectors import (
    check_changes,
    check_embeddings,
    check_index,
    check_refined_index,
    vectors_named,
    vectors_of,
)
from pipelines.run.listed_files import EMBEDDINGS, INDEX, UNIFIED, folders_of_vectors
from pipelines.stages import line_of, published_lines
from pipelines.store.named_run import find_run
from schemas import storage
from schemas.errors import UsageError
from schemas.records.user_rows import USERS_STAGE

EXAMPLE = "itemsage verify --store store --rebuild 100 --image-root images"


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """Checks a run: checksums, counts, schemas, norms, ids, index; changes nothing. Exit code 1 if a check failed."""

    store: str = flag(path=True, help="store folder")
    run: str | None = flag(default=None, help="DATE, RUN_ID or runs/DATE/RUN_ID; default: the published run")
    rebuild: int = flag(default=0, help="compute this many items again, pictures included, and compare bytes")
    image_root: str | None = flag(
        path=True, default=None, help="with --rebuild: folder of the pictures; default: the run's own"
    )
    json: bool = flag(default=False, help="print JSON")

    def __post_init__(self) -> None:
        if self.rebuild < 0:
            raise UsageError(f"expected --rebuild of 0 or more items, got {self.rebuild}")
        if self.image_root is not None and not storage.is_folder(self.image_root):
            raise UsageError(f"expected --image-root to name a folder, got {self.image_root!r}, where there is none")


#: Published stages of which more is recomputed than their Stage looks at.
_DEEPER = {INDEX: check_index, USERS_STAGE: check_users}


def verify_run(store: Path, run: Path, rebuild: int = 0, image_root: str | None = None) -> list[Finding]:
    """The findings of all checks of a run of the store, in the order in which they build on each other. Writes nothing.

    rebuild: number of items to compute again, with pictures from image_root (None: where the run found them).
    """
    inspected, (manifests, checksums) = read_run(store, run)
    buckets, record_ids = check_buckets(inspected)
    vectors, embeddings = check_embeddings(inspected, record_ids)
    has_unified = inspected.expects(line_of(UNIFIED))
    findings = [
        check_completed(inspected),
        manifests,
        check_agreement(inspected),
        checksums,
        check_unlisted(inspected),
        check_counts(inspected),
        check_gates(inspected),
        check_pointers(inspected),
        check_model(inspected),
        *([check_unified_model(inspected)] if has_unified else []),
        *buckets,
        *check_table_pictures(inspected),
        check_quarantine(inspected),
        vectors,
        *(
            check_changes(inspected, name, vectors_named(inspected, name, embeddings))
            for name in folders_of_vectors(inspected.expects)
        ),
    ]
    for line in filter(inspected.expects, published_lines()):
        if line.name != EMBEDDINGS:
            deeper, made_of = _DEEPER.get(line.name), vectors_of(inspected, line.name, embeddings)
            findings.append(check_stage(inspected, line) if deeper is None else deeper(inspected, made_of))
        if line.name == INDEX and inspected.listed(REFINED_FOLDER):
            findings.append(check_refined_index(inspected, vectors_of(inspected, INDEX, embeddings)))
    if rebuild:
        findings.append(check_rebuild(inspected, record_ids, rebuild, image_root))
        if has_unified:
            findings.append(check_rebuilt_unified(inspected, record_ids, rebuild))
    return findings


def run(config: VerifyConfig) -> int:
    """Prints the findings; returns the exit code. Raises UsageError if there is no such run."""
    folder = find_run(config.store, config.run)
    findings = verify_run(Path(config.store), folder, config.rebuild, config.image_root)
    return EXIT_FAULT if report(findings, str(folder), config.json) else EXIT_DONE  # also for a path that is not there


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    return exit_code(lambda: run(parse_alone(VerifyConfig, arguments, "itemsage verify", EXAMPLE)))
