"""Which features files make which embeddings file: neighbouring buckets in groups of enough rows."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.machine.library_versions import versions_of
from schemas.errors import CorruptFileError
from schemas.hashing import fingerprint
from schemas.quarantine import quote

STAGE = "embeddings"
CODE_VERSION = 1
ROWS_A_FILE = 50_000
#: Count of a part's vectors whose last bit may be the fault of too little memory: nobody takes over any of the part.
IN_HALVED_BATCHES = "rows_in_halved_batches"
_BUCKET = re.compile(r"bucket-(\d+)-of-(\d+)")


@dataclass(frozen=True)
class Part:
    """One output file: which feature files it is made of."""

    name: str
    files: tuple[str, ...]
    fingerprint: str

    @property
    def path(self) -> str:
        """The embeddings file, relative to the run."""
        return f"{STAGE}/{self.name}.parquet"

    @property
    def buckets(self) -> frozenset[tuple[int, int]]:
        """(bucket, number of buckets) of every features file."""
        return frozenset(map(bucket_of_file, self.files))


def bucket_of_file(path: str) -> tuple[int, int]:
    """The bucket whose rows a file holds, and how many buckets there are. CorruptFileError for any other name.

    >>> bucket_of_file("features/bucket-00003-of-00064.tfrecord")
    (3, 64)
    """
    found = _BUCKET.fullmatch(Path(path).stem)
    if found is None:
        raise CorruptFileError(f"expected a file name like bucket-00003-of-00064, got {quote(path)}")
    return int(found[1]), int(found[2])


def plan_parts(features: dict[str, Any], model_id: str, rows_a_file: int | None = None) -> list[Part]:
    """Neighbouring buckets in groups of at least `rows_a_file` rows (None: ROWS_A_FILE), the rest in the last group.

    `features` is the features stage's manifest.
    """
    enough = ROWS_A_FILE if rows_a_file is None else rows_a_file
    made_by = [CODE_VERSION, versions_of("torch"), model_id]
    groups: list[list[dict[str, Any]]] = [[]]
    rows = 0
    for entry in sorted((e for e in features["files"] if e["path"].startswith("features/")), key=lambda e: e["path"]):
        if rows >= enough:
            groups.append([])
            rows = 0
        groups[-1].append(entry)
        rows += features["units"][Path(entry["path"]).stem]["counts"].get("items_written", 0)
    if len(groups) > 1 and rows < enough:
        last = groups.pop()
        groups[-1] += last
    return [
        Part(
            name=f"part-{number:05d}-of-{len(groups):05d}",
            files=tuple(entry["path"] for entry in group),
            fingerprint=fingerprint([*made_by, [entry["sha256"] for entry in group]]),
        )
        for number, group in enumerate(groups)
    ]
