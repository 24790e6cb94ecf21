"""What a unified model says of itself: its id, its sources, the checksums of its files. See model.sources.unified.

Imports nothing that takes a moment: days without unified vectors ask it too.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import check_sha256, read_json, sha256_of_file, write_json
from schemas.hashing import fingerprint
from schemas.log_ends import ANY_DAY, LOG_END, end_from_json, end_to_json
from schemas.quarantine import quote

if TYPE_CHECKING:
    from model.sources.fusion import Fusion

ITEMSAGE, DAE, SIAMESE = "itemsage", "dae", "siamese"
#: Sources that encode an item, whoever clicked it.
ENCODING = (ITEMSAGE, DAE, SIAMESE)
FUSION_FOLDER, MODEL_FOLDER, VECTORS_FOLDER, EVIDENCE_FOLDER = "fusion", "model", "embeddings", "evidence"
MANIFEST_FILE = "manifest.json"
#: What manifests call the id of each source.
SOURCE_IDS = "source_ids"
UNIFIED_ID = re.compile(r"unified-[0-9a-f]{12}")
_DIGITS = 12

Folder = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class UnifiedManifest:
    """unified_id: of the folder; item_model_id: whose vectors are the source itemsage, and whose features the models
    read; source_ids: of each source; dims: of each source's vectors; dim: E; files: path in the folder -> sha256;
    log_end_us: of all logs that it has learnt from (see schemas.log_ends)."""

    unified_id: str
    item_model_id: str
    source_ids: Mapping[str, str]
    dims: Mapping[str, int]
    dim: int
    files: Mapping[str, str]
    log_end_us: float | None = None

    @property
    def learnt_until_us(self) -> float | None:
        """log_end_us; ANY_DAY of a model of clickstream that tells of no log: an earlier version wrote so of a log
        whose end is not told."""
        has_clickstream = not set(self.source_ids) <= set(ENCODING)
        return ANY_DAY if self.log_end_us is None and has_clickstream else self.log_end_us

    @classmethod
    def read(cls, folder: Folder) -> "UnifiedManifest":
        """Raises CorruptFileError unless it is the manifest of a unified model that fits its id."""
        value = read_json(Path(folder, MANIFEST_FILE))
        try:
            texts = {name: _texts(value[name]) for name in ("source_ids", "files")}
            dims = {str(name): _positive(dim) for name, dim in value["dims"].items()}
            found = cls(
                unified_id=str(value["unified_id"]),
                item_model_id=str(value["item_model_id"]),
                dims=dims,
                dim=_positive(value["dim"]),
                log_end_us=end_from_json(value[LOG_END]),
                **texts,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(
                f"expected the manifest of a unified model in {folder}, got {quote(value)}"
            ) from error
        if found.unified_id != found.made_id() or set(found.source_ids) != set(dims):
            got = f"{quote(found.unified_id)} of {sorted(found.source_ids)}"
            raise CorruptFileError(f"expected a unified model with the id of its content, got {got} in {folder}")
        return found

    def made_id(self) -> str:
        """The id that this content has."""
        return "unified-" + fingerprint({**self._content(), "files": dict(self.files)})[:_DIGITS]

    def to_json(self) -> dict[str, Any]:
        return {"kind": "unified", "unified_id": self.unified_id, **self._content(), "files": dict(self.files)}

    def _content(self) -> dict[str, Any]:
        return {
            "dim": self.dim,
            "dims": dict(self.dims),
            "item_model_id": self.item_model_id,
            LOG_END: end_to_json(self.log_end_us),
            "source_ids": dict(self.source_ids),
        }

    def check_files(self, folder: Folder, names: Iterable[str] | None = None) -> None:
        """Raises CorruptFileError unless each file, or each of these, is as it was written."""
        for name in sorted(self.files if names is None else names):
            path = storage.resolve_inside(Path(folder), name)
            if path is None or name not in self.files:
                raise CorruptFileError(f"expected a file of the unified model in {folder}, got {quote(name)}")
            check_sha256(path, self.files[name])


def write_unified_manifest(
    folder: Folder, fusion: "Fusion", item_model_id: str, source_ids: Mapping[str, str], log_end_us: float | None = None
) -> UnifiedManifest:
    """Writes the manifest of what lies in a folder: its files are all there."""
    files = {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in storage.files_below(Path(folder))}
    made = UnifiedManifest(
        unified_id="",
        item_model_id=item_model_id,
        source_ids=source_ids,
        dims=dict(fusion.dims),
        dim=fusion.dim,
        files=files,
        log_end_us=log_end_us,
    )
    named = replace(made, unified_id=made.made_id())
    write_json(Path(folder, MANIFEST_FILE), named.to_json())
    return named


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(
        _is_inside(name) and isinstance(text, str) for name, text in value.items()
    ):
        raise ValueError("texts by name")
    return dict(value)


def _is_inside(name: Any) -> bool:
    return isinstance(name, str) and name.isprintable() and ".." not in PurePosixPath(name).parts


def _positive(value: Any) -> int:
    if type(value) is not int or not 1 <= value < 1_000_000:
        raise ValueError("a positive number")
    return value
