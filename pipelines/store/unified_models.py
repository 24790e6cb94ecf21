"""The unified models of a store, and the pointer that names the one in use.

models/unified-<12 hex>/    model.sources.unified
models/UNIFIED              the one that `daily --unify` makes vectors with, replaced atomically
"""

import re
from pathlib import Path

from schemas import storage
from schemas.errors import UsageError
from schemas.files import write_text
from schemas.quarantine import quote

POINTER = "UNIFIED"
_UNIFIED_ID = re.compile(r"unified-[0-9a-f]{12}")


def unified_folder(store: str, unified_id: str) -> Path:
    """The folder of a unified model; UsageError if the name is not an id of one or there is none."""
    folder = Path(store, "models", unified_id)
    if not _UNIFIED_ID.fullmatch(unified_id) or not storage.is_folder(folder):
        raise UsageError(f"expected a unified model of the store {store}, got {quote(unified_id)}: see {store}/models")
    return folder


def current_unified_id(store: str) -> str:
    """The unified model in use; UsageError if there is none."""
    pointer = Path(store, "models", POINTER)
    if not storage.has_file(pointer):
        raise UsageError(f"expected a unified model in the store {store}, got none: run `itemsage unify` first")
    unified_id = storage.text_of(pointer, errors="replace").strip()
    unified_folder(store, unified_id)
    return unified_id


def wanted_unified_id(store: str, unified_id: str | None) -> str:
    """The unified model that a call names, else the one in use; UsageError if there is no such."""
    if unified_id is None:
        return current_unified_id(store)
    unified_folder(store, unified_id)
    return unified_id


def set_current_unified(store: str, unified_id: str) -> None:
    """Makes it the one in use."""
    unified_folder(store, unified_id)
    write_text(Path(store, "models", POINTER), unified_id + "\n")
