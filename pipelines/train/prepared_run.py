"""A run folder whose stages up to the pairs are finished, opened to train on."""

import os
from dataclasses import dataclass
from pathlib import Path

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.items.start import start_from_catalogue_
from model.text.vocabulary import Vocabulary
from model.training.data import TrainingData
from pipelines.run.units import read_stage_manifest
from schemas.hashing import fingerprint


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedRun:
    """data_id: see data_id. sizes: the fields of ItemSageConfig that the data decide."""

    data_id: str
    vocabulary: Vocabulary
    data: TrainingData
    sizes: dict[str, int]

    @classmethod
    def open(cls, folder: str | os.PathLike[str], with_test: bool = False) -> "PreparedRun":
        """with_test: whether the test part is opened too. Raises CorruptFileError if a stage is not finished."""
        manifest = read_stage_manifest(str(folder), "features")
        vocabulary = Vocabulary.load(Path(folder, "vocabulary"))
        dims = {"picture_dim": manifest["picture_dim"], "text_dim": manifest.get("text_dim", 0)}
        table = read_stage_manifest(str(folder), "pairs").get("query_table")
        dims["query_table_dim"] = 0 if table is None else table["dim"]
        return cls(
            data_id=data_id(folder),
            vocabulary=vocabulary,
            data=TrainingData.open(folder, Path(folder, "cache"), **dims, with_test=with_test),
            sizes={"vocabulary_size": vocabulary.size, **dims},
        )

    def start(self, config: ItemSageConfig) -> ItemSage:
        """The model before its first step."""
        model = ItemSage(config)
        start_from_catalogue_(model, self.data.items, self.vocabulary)
        return model


def query_table_folder(folder: str | os.PathLike[str]) -> Path | None:
    """Where the shop's own query vectors are that the pairs of a run were made with; None without them."""
    table = read_stage_manifest(str(folder), "pairs").get("query_table")
    return None if table is None else Path(folder, table["folder"])


def data_id(folder: str | os.PathLike[str]) -> str:
    """Identifies the features and pairs that a run trains on: other data never meets an old checkpoint."""
    stages = [read_stage_manifest(str(folder), name)["files"] for name in ("features", "pairs")]
    return fingerprint([[entry["path"], entry["sha256"]] for files in stages for entry in files])
