"""Text vectors of queries: those of the encoder, and each different query is encoded once, whatever asks for it."""

from pathlib import Path

import numpy as np
import pytest
from pairs_runs import TEXTS, make_log, make_run, read_pairs, run_pairs, write_log
from query_vectors import write_query_vectors
from random_text_encoders import needs_tokenizers, write_text_encoder

from model.text.text_encoder import TextEncoder, open_text_encoder
from model.text.text_encoder_spec import save_text_encoder, text_encoder_spec
from pipelines.features import picture_vectors
from pipelines.pairs import join_pairs, text_pairs
from pipelines.pairs.distinct_pairs import query_id
from pipelines.run.units import read_stage_manifest
from schemas.files import write_sealed_json
from schemas.tables import DISTILLATION

pytestmark = pytest.mark.medium

needs_tokenizers()


@pytest.fixture
def run(tmp_path) -> Path:
    """A run of 4 buckets whose features say that a text encoder made them."""
    run = make_run(tmp_path / "run", 4)
    spec = text_encoder_spec(str(write_text_encoder(tmp_path / "published")), "cpu", "float32")
    save_text_encoder(spec, run / "text_encoder")
    facts = read_stage_manifest(str(run), "features") | {"text_encoder_id": spec.network_id, "text_dim": spec.dim}
    write_sealed_json(run / "manifests" / "features.json", facts)
    return run


def test_each_query_is_encoded_once_for_all_parts_buckets_and_chunks(run, tmp_path, monkeypatch):
    picture_vectors._TEXT_CACHES.forget()
    encoded: list[str] = []
    encode = TextEncoder.encode
    monkeypatch.setattr(TextEncoder, "encode", lambda self, texts: encoded.extend(texts) or encode(self, texts))
    monkeypatch.setattr(join_pairs, "_CHUNK_ROWS", 7)
    log = write_log(tmp_path / "log.parquet", make_log(3, 900, with_pictures=False))
    run_pairs(run, engagements=str(log), split="time", test_fraction=0.3)
    assert sorted(encoded) == sorted(TEXTS[:-1])
    vectors_ND = encode(open_text_encoder(run / "text_encoder", "cpu"), TEXTS[:-1]).astype(np.float16)
    vector_of = {query_id("search", text): vector_D for text, vector_D in zip(TEXTS, vectors_ND, strict=False)}
    records = [pair for part in read_pairs(run).values() for pair in part]
    assert len(records) > 100
    for pair in records:
        np.testing.assert_array_equal(pair.query_text_vector, vector_of[pair.query_id])


def test_queries_to_distil_from_have_no_vectors_of_the_shops_own_table(run, tmp_path, monkeypatch):
    monkeypatch.setattr(text_pairs, "pseudo_queries", lambda item, count, seed: ["blue lamp", "lamp"][:count])
    table = write_query_vectors(tmp_path / "table.parquet", ["blue lamp"], np.ones((1, 5), np.float32))
    run_pairs(run, pseudo_queries=2, distill_queries=8, query_vectors=str(table))
    distilled = read_pairs(run, [DISTILLATION])[DISTILLATION]
    assert query_id("search", "blue lamp") in {pair.query_id for pair in distilled}
    assert not any(len(pair.query_table_vector) for pair in distilled)


def test_queries_to_distil_from_are_words_alone(run, monkeypatch):
    picture_vectors._TEXT_CACHES.forget()
    encoded: list[str] = []
    encode = TextEncoder.encode
    monkeypatch.setattr(TextEncoder, "encode", lambda self, texts: encoded.extend(texts) or encode(self, texts))
    run_pairs(run, pseudo_queries=2, distill_queries=8)
    pseudo = [pair for part in read_pairs(run).values() for pair in part]
    distilled = read_pairs(run, [DISTILLATION])[DISTILLATION]
    assert all(len(pair.query_text_vector) for pair in pseudo)
    assert not any(len(pair.query_text_vector) for pair in distilled)
    assert {query_id("search", text) for text in encoded} == {pair.query_id for pair in pseudo}
    assert len({pair.query_id for pair in distilled}) > len(encoded)
