"""The models of a store, of two kinds, and the pointers that name those in use.

models/itemsage-<12 hex>/   an item model: model.items         models/CURRENT: the one that daily runs use
models/unified-<12 hex>/    a unified model: model.sources     models/UNIFIED: the one that `daily --unify` uses
"""

import re
from dataclasses import dataclass
from pathlib import Path

from schemas import storage
from schemas.errors import UsageError
from schemas.files import write_text
from schemas.quarantine import quote


@dataclass(frozen=True, kw_only=True)
class ModelKind:
    """what: in words; prefix: of its ids; pointer: the file that names the one in use; made_by: the command."""

    what: str
    prefix: str
    pointer: str
    made_by: str

    def is_id(self, name: str) -> bool:
        """Whether it may be the name of one.

        >>> ITEM_MODELS.is_id("itemsage-0123456789ab"), ITEM_MODELS.is_id("unified-0123456789ab")
        (True, False)
        """
        return re.fullmatch(rf"{self.prefix}-[0-9a-f]{{12}}", name) is not None

    def folder(self, store: str, model_id: str) -> Path:
        """The folder of a model; UsageError if the name is no id of this kind or there is no such model."""
        folder = Path(store, "models", model_id)
        if not self.is_id(model_id) or not storage.is_folder(folder):
            raise UsageError(f"expected {self.what} of the store {store}, got {quote(model_id)}: see {store}/models")
        return folder

    def has_current(self, store: str) -> bool:
        """Whether one was installed."""
        return storage.has_file(self._pointer(store))

    def named(self, store: str) -> str | None:
        """What the pointer names, whether it is there or not; None without a pointer."""
        pointer = self._pointer(store)
        return storage.text_of(pointer, errors="replace").strip() if storage.has_file(pointer) else None

    def current(self, store: str) -> str:
        """The id of the one in use; UsageError if there is none."""
        model_id = self.named(store)
        if model_id is None:
            raise UsageError(f"expected {self.what} in the store {store}, got none: run `{self.made_by}` first")
        self.folder(store, model_id)
        return model_id

    def wanted(self, store: str, model_id: str | None) -> str:
        """The one that a call names, else the one in use; UsageError if there is no such model."""
        if model_id is None:
            return self.current(store)
        self.folder(store, model_id)
        return model_id

    def make_current(self, store: str, model_id: str) -> None:
        """Makes it the one in use, atomically."""
        self.folder(store, model_id)
        write_text(self._pointer(store), model_id + "\n")

    def _pointer(self, store: str) -> Path:
        return Path(store, "models", self.pointer)


ITEM_MODELS = ModelKind(what="a trained model", prefix="itemsage", pointer="CURRENT", made_by="itemsage train")
UNIFIED_MODELS = ModelKind(what="a unified model", prefix="unified", pointer="UNIFIED", made_by="itemsage unify")
MODEL_KINDS = (ITEM_MODELS, UNIFIED_MODELS)
