"""Published stores to search; items lie where the model's towers put their own titles and pictures."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from random_models import save_random_image_encoder
from search_store import (
    NUM_PICTURE_ITEMS,
    PICTURE_TASKS,
    TEXT_TASKS,
    picture_path,
    random_vectors,
    titles,
    write_model,
    write_pictures,
    write_run,
)

from model.items.query_encoder import QueryEncoder
from model.text.vocabulary import TokenCounts, Vocabulary
from pipelines.serving.searcher import Searcher


@pytest.fixture(scope="session")
def image_encoder_folder(tmp_path_factory) -> Path:
    return save_random_image_encoder(tmp_path_factory.mktemp("encoder") / "made")


@pytest.fixture(scope="session")
def store(tmp_path_factory, image_encoder_folder) -> Path:
    """Published; read it, do not change it."""
    folder = tmp_path_factory.mktemp("store")
    write_pictures(folder)
    model_id = write_model(folder, image_encoder_folder, {"text": TEXT_TASKS, "picture": PICTURE_TASKS})
    encoder = QueryEncoder(folder / "models" / model_id)
    texts = encoder.texts([title for title in titles() if title is not None])
    pictures = encoder.pictures([picture_path(folder, n).read_bytes() for n in range(NUM_PICTURE_ITEMS)])
    write_run(folder, model_id, np.concatenate([texts, np.stack(pictures)]))
    return folder


@pytest.fixture
def own_store(store, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(store, tmp_path / "store"))


@pytest.fixture(scope="session")
def searchers(store) -> dict[str, Searcher]:
    return {"index": Searcher(str(store)), "exact": Searcher(str(store), exact=True)}


@pytest.fixture(params=["index", "exact"])
def searcher(request, searchers) -> Searcher:
    return searchers[request.param]


@pytest.fixture(scope="session")
def store_with_vocabulary(tmp_path_factory, image_encoder_folder) -> Path:
    """The model knows the tokens of the titles and no others; the vectors mean nothing."""
    folder = tmp_path_factory.mktemp("store-with-vocabulary")
    counts = TokenCounts()
    for title in titles():
        counts.add_text(title)
    write_pictures(folder)
    vocabulary = Vocabulary.from_counts(counts.table())
    write_run(
        folder, write_model(folder, image_encoder_folder, {"text": TEXT_TASKS}, vocabulary=vocabulary), random_vectors()
    )
    return folder
