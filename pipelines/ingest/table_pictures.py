"""The pictures of a run that came in its table: those that items list are there, and no others."""

import filecmp
import os
import uuid
from collections.abc import Iterable
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.ingest.write_items import PICTURES_IN_TABLE, STAGE
from schemas import storage
from schemas.pictures.stored import STORED_FOLDER, STORED_PREFIX, stored_path
from schemas.records.manifests import Sidecar


def listed_pictures(run: str | os.PathLike[str], bucket: str) -> list[str]:
    """The paths, relative to the run, of the pictures of the table that a bucket's items list; sorted, none twice."""
    images = pq.read_table(Path(run, STAGE, f"{bucket}.parquet"), columns=["images"])["images"].combine_chunks()
    names = images.flatten()
    names = names.filter(pc.starts_with(names, STORED_PREFIX)).unique().to_pylist()
    return sorted(path for name in names if (path := stored_path(name)) is not None)


def lacks_pictures(run: str, sidecar: Sidecar) -> bool:
    """Whether a picture of the table is not there that the items of a finished bucket list."""
    if not sidecar.counts.get(PICTURES_IN_TABLE):
        return False
    return not all(storage.has_file(os.path.join(run, path)) for path in listed_pictures(run, sidecar.unit))


def remove_unlisted_pictures(run: str, sidecars: Iterable[Sidecar]) -> None:
    """Removes the pictures that no item of these finished buckets lists: those of rows that were rejected or merged, or
    of an earlier plan, and what a worker that was killed left."""
    folder = Path(run, STORED_FOLDER)
    if not storage.is_folder(folder):
        return
    with_pictures = [sidecar.unit for sidecar in sidecars if sidecar.counts.get(PICTURES_IN_TABLE)]
    listed = {path for bucket in with_pictures for path in listed_pictures(run, bucket)}
    for parent in storage.paths_in(folder):
        for path in storage.paths_in(parent):
            if path.relative_to(run).as_posix() not in listed:
                storage.remove(path)
        if not any(storage.paths_in(parent)):
            storage.remove_empty_folder(parent)
    if not listed:
        storage.remove_empty_folder(folder)


def share_pictures(run: str, earlier: str | os.PathLike[str] | None) -> None:
    """Makes one file of each picture that an earlier run has, too, where the file system can: a shop whose pictures are
    in its table would keep all of them once a day. Each run has its own name for the file; either may be removed. What
    one that was killed left is removed first."""
    folder = Path(run, STORED_FOLDER)
    for left in storage.paths_in(folder, "*/.*.tmp"):
        storage.remove(left)
    if earlier is None or not storage.is_folder(folder):
        return
    for path in storage.paths_in(folder, "*/*"):
        other = Path(earlier, path.relative_to(run))
        if storage.is_link(other) or not storage.has_file(other) or storage.is_same_file(other, path):
            continue
        if not filecmp.cmp(other, path, shallow=False):  # damaged there, which must not spread
            continue
        linked = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            storage.link_file(other, linked)
        except OSError:  # no hard links there, or no more of this file
            return
        storage.move(linked, path)
