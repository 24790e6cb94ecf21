"""A store whose model was never trained, and a training run with finished sources: for unified models and days."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from content_runs import ITEM_IDS, PICTURE_DIM, content_run, run_content_sources
from source_runs import DATE, session_rows, write_rows

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.items.store import save_model
from model.split.split import SplitConfig, no_engagements
from model.text.vocabulary import Vocabulary
from pipelines.console.exit_codes import EXIT_DONE
from pipelines.console.jobs import beam_options
from pipelines.embed import job as embed
from pipelines.store.models import ITEM_MODELS
from pipelines.unify import job as unify
from schemas.files import write_json

TRAINING = "training/2026-06-28/0123456789abcdef"
VOCABULARY, OUTPUT_DIM = 20, 16
#: Two sources that encode items, one of clickstream that is cut off where nobody clicked, and the item model's.
ASKED = ("--sources", "itemsage,prod2vec,dae,siamese", "--weights", "prod2vec=.5,siamese=2")
#: The items of a day: one is gone since the training, two are new.
DAY_IDS = sorted([*ITEM_IDS[1:], "item-100", "item-101"])
_SMALL = {"hash_rows": 50, "width": 32, "heads": 4, "ffn_dim": 32, "mlp_dim": 32, "output_dim": OUTPUT_DIM}


def install_model(folder: Path, **switches: Any) -> str:
    """A model of the training run in the store; its id. It is the one in use. switches: of ItemSageConfig."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    parts = folder / "models" / ".parts"
    Vocabulary.hashing(VOCABULARY).save(parts / "vocabulary")
    write_json(parts / "encoder" / "image_encoder.json", {"network_id": "pictures"})
    sizes = {**_SMALL, "vocabulary_size": VOCABULARY, "picture_dim": PICTURE_DIM, **switches}
    model_id = save_model(
        ItemSage(ItemSageConfig(**sizes)),
        parts / "model",
        vocabulary_folder=parts / "vocabulary",
        image_encoder_folder=parts / "encoder" if sizes["picture_dim"] else None,
        towers={},
        split=no_engagements(SplitConfig()),
        metrics={},
        facts={"training_run": TRAINING},
    )
    (parts / "model").rename(folder / "models" / model_id)
    ITEM_MODELS.make_current(str(folder), model_id)
    return model_id


def features_facts() -> dict[str, Any]:
    """Of features that are made with the model's encoder and vocabulary."""
    return {"image_encoder_id": "pictures", "vocabulary_id": Vocabulary.hashing(VOCABULARY).id}


def make_store(folder: Path, **switches: Any) -> Path:
    """A store with a model and, in its training run, the sources prod2vec, bpr, dae and siamese."""
    install_model(folder, **switches)
    run = content_run(folder / TRAINING, **features_facts())
    rows = [{**row, "item_id": row["item_id"].replace("item-", "item-0")} for row in session_rows()]
    log = write_rows(folder.parent / "log", rows)
    flags = ("--engagements", str(log), "--date", DATE, "--min-count", "2")
    assert run_content_sources(run, "--sources", "prod2vec,bpr,dae,siamese", *flags) == EXIT_DONE
    return folder


def run_unify(folder: Path, *flags: str) -> int:
    """Exit code of the command."""
    return unify.main(["--store", str(folder), *(flags or ASKED)])


def make_day(folder: Path, run: Path, item_ids: Sequence[str] = DAY_IDS) -> Path:
    """A run folder with finished items, features and embeddings by the store's model."""
    content_run(run, item_ids, **features_facts())
    model = ITEM_MODELS.folder(str(folder), ITEM_MODELS.current(str(folder)))
    embed.run(embed.EmbedConfig(run=str(run), model=str(model)), beam_options([]))
    return run
