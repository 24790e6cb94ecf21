"""A product written with tags and the same one without have one vector, from the catalogue's row to the embedding."""

from pathlib import Path

import numpy as np
import pytest
from features_runs import make_run
from random_text_encoders import needs_tokenizers, write_text_encoder

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.items.store import save_model
from model.split.split import SplitConfig, no_engagements
from model.text.text_encoder_spec import save_text_encoder, saved_text_encoder_spec, text_encoder_spec
from model.text.tokenizer import normalize, words
from pipelines.console.jobs import beam_options
from pipelines.embed import job as embed
from pipelines.evaluate.evaluated_run import EvaluatedRun
from pipelines.features import job as features
from schemas.records.embeddings import read_embeddings

VOCABULARY = 1000
#: Title and description, and the same as editors, exports and feeds write them.
PLAIN = {
    "shoe": ("Red shoe & sock", "A red shoe for the rain. Size 3 1/2, < 5 mm"),
    "milk": ("Blue milk", "a b c"),
}
WRITTEN = {
    "shoe-html": (
        "Red shoe &amp; sock",
        '<div class="d"><style>.a{color:red}</style><p><strong>A</strong> <span style="x: 1">red shoe</span>&nbsp;for'
        "<br>the rain.</p><ul><li>Size 3&frac12;, &lt; 5 mm</li><li>&nbsp;</li></ul><script>a<b</script></div>",
    ),
    "shoe-escaped-twice": (
        "<b>R</b>ed shoe &amp;amp; sock",
        "&lt;p&gt;A red shoe&lt;/p&gt;&lt;p&gt;for the rain. Size 3 1/2, &amp;lt; 5 mm&lt;/p&gt;",
    ),
    "milk-cut": ("Blue milk<!-- a", "a b c<style>.a{"),
    "milk-html": ("<h1>Blue milk</h1>", "<![CDATA[<!-- a -->a<hr/>b<p>c]]>"),
}


def vectors_of(folder: Path, text_encoder: Path | None) -> dict[str, np.ndarray]:
    """Item id -> its vector by a model of random weights, through the stages features and embed."""
    rows = [
        {"item_id": item_id, "title": title, "description": description, "images": []}
        for item_id, (title, description) in (PLAIN | WRITTEN).items()
    ]
    run = make_run(folder / "run", rows, vocabulary=VOCABULARY)
    encoders = {"image_encoder": "none", "text_encoder_folder": text_encoder and str(text_encoder)}
    features.run(features.FeaturesConfig(run=run, image_root=str(folder), device="cpu", **encoders), beam_options([]))
    text_dim = saved_text_encoder_spec(text_encoder, "cpu").dim if text_encoder else 0
    small = {"hash_rows": 500, "width": 32, "heads": 4, "ffn_dim": 32, "mlp_dim": 32}
    save_model(
        ItemSage(ItemSageConfig(vocabulary_size=VOCABULARY, picture_dim=0, text_dim=text_dim, **small)),
        folder / "model",
        vocabulary_folder=Path(run, "vocabulary"),
        image_encoder_folder=None,
        text_encoder_folder=text_encoder,
        towers={},
        split=no_engagements(SplitConfig()),
        metrics={},
    )
    embed.run(embed.EmbedConfig(run=run, model=str(folder / "model")), beam_options([]))
    ids, vectors_ND = read_embeddings(Path(run, "embeddings"))
    return dict(zip(ids.to_pylist(), vectors_ND, strict=True))


def assert_one_vector_a_product(vectors: dict[str, np.ndarray]) -> None:
    for item_id in WRITTEN:
        assert vectors[item_id] @ vectors[item_id.partition("-")[0]] == pytest.approx(1, abs=1e-6), item_id
    assert vectors["shoe"] @ vectors["milk"] < 0.999


def test_tags_change_no_vector(tmp_path):
    assert_one_vector_a_product(vectors_of(tmp_path, None))
    evaluated = EvaluatedRun(tmp_path / "run", tmp_path / "model")
    found = {
        item_id: words(normalize(text)) for item_id, text in zip(evaluated.item_ids, evaluated.item_texts, strict=True)
    }
    assert all(found[item_id] == found[item_id.partition("-")[0]] for item_id in WRITTEN)


def test_tags_change_no_vector_of_a_model_with_a_text_encoder(tmp_path):
    needs_tokenizers()
    published = write_text_encoder(tmp_path / "published")
    save_text_encoder(text_encoder_spec(str(published), "cpu", "float32"), tmp_path / "saved")
    assert_one_vector_a_product(vectors_of(tmp_path, tmp_path / "saved"))
