"""Text vectors of items: those of the encoder, taken over where the text is the same, absent without an encoder."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from features_runs import NUM_BUCKETS, bytes_of, item, make_run, records_of
from features_shop import ROWS, changed, counts_of, png
from random_text_encoders import WIDTH, needs_tokenizers, write_text_encoder

from model.text.text_encoder import TextEncoder, load_text_encoder, open_text_encoder
from model.text.text_encoder_spec import item_sentences
from pipelines.features import picture_vectors, resolve_texts
from pipelines.features.earlier import has_tokens
from schemas.errors import UsageError
from schemas.hashing import bucket_of
from schemas.records.tfrecords import read_records

pytestmark = pytest.mark.slow

needs_tokenizers()


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> str:
    return str(write_text_encoder(tmp_path_factory.mktemp("text encoder") / "tiny"))


@pytest.fixture
def encoding(folder) -> dict[str, str]:
    return {"text_encoder": folder, "text_dtype": "float32"}


@pytest.fixture
def encoded(monkeypatch) -> list[str]:
    """Every text that an encoder is given, whatever has been encoded before in this process."""
    picture_vectors._TEXT_CACHES.forget()
    texts: list[str] = []
    encode = TextEncoder.encode

    def recorded(self, given, *told):
        texts.extend(given)
        return encode(self, given, *told)

    monkeypatch.setattr(TextEncoder, "encode", recorded)
    return texts


def test_vectors_are_those_of_the_encoder(shop, yesterday, folder, encoding):
    run = shop.run("with texts", **encoding)
    records = records_of(run)
    encoder = load_text_encoder(folder, device="cpu", dtype="float32")
    sentences = {row["item_id"]: item_sentences(row) for row in ROWS}
    for item_id, record in records.items():
        expected_D = encoder.encode_means([sentences[item_id]])[0].astype(np.float16) if sentences[item_id] else []
        np.testing.assert_array_equal(record.text_vector, expected_D)
        assert record.text_vector.dtype == np.float16
    assert {len(record.text_vector) for record in records.values()} == {0, WIDTH}
    manifest = json.loads(Path(run, "manifests/features.json").read_text())
    spec = encoder.spec
    stated = (manifest["text_dim"], manifest["text_encoder_id"], manifest["text_vectors_id"])
    assert stated == (WIDTH, spec.network_id, spec.encoder_id)
    assert manifest["counts"]["texts_computed"] == len(set(filter(None, sentences.values())))
    assert open_text_encoder(Path(run, "text_encoder"), "cpu", "float32").network_id == spec.network_id
    without = records_of(yesterday)
    assert without.keys() == records.keys()
    for item_id, record in records.items():
        np.testing.assert_array_equal(record.token_ids, without[item_id].token_ids)
        np.testing.assert_array_equal(record.pictures, without[item_id].pictures)
    for path in Path(run, "features").iterdir():
        assert [has_tokens(p) for p in read_records(path)] == [
            has_tokens(p) for p in read_records(Path(yesterday, "features", path.name))
        ]


def test_without_a_text_encoder_nothing_is_said_of_texts(yesterday):
    manifest = json.loads(Path(yesterday, "manifests/features.json").read_text())
    assert not [key for key in (*manifest, *manifest["counts"]) if key.startswith("text")]
    assert all(b"text_vector" not in data for data in bytes_of(yesterday).values())
    assert not Path(yesterday, "text_encoder").exists()


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        (ROWS, []),
        (changed("c", title="blue sock"), ["blue sock"]),
        (changed("a", "1.png"), []),  # another record of the same text
        ([*ROWS, item("new", "red sock"), item("new too", "red sock")], ["red sock"]),
        ([row for row in ROWS if row["item_id"] != "a"], []),
    ],
)
def test_only_what_is_new_is_computed(shop, encoding, encoded, rows, texts):
    earlier = shop.run("with texts", **encoding)
    scratch = Path(shop.run("scratch", rows, **encoding))
    del encoded[:]
    picture_vectors._TEXT_CACHES.forget()
    counts = shop.check(rows, earlier, scratch, **encoding)
    assert sorted(set(encoded)) == texts
    assert counts["texts_computed"] >= len(texts)


def test_another_vocabulary_costs_no_text_vector(shop, encoding, encoded):
    earlier = shop.run("with texts", **encoding)
    scratch = Path(shop.run("scratch", vocabulary=500, **encoding))
    del encoded[:]
    picture_vectors._TEXT_CACHES.forget()
    counts = shop.check(ROWS, earlier, scratch, vocabulary=500, **encoding)
    assert (encoded, counts["texts_computed"], counts["items_reused"]) == ([], 0, 0)


def test_another_text_encoder_costs_no_picture(shop, yesterday, encoding, tmp_path):
    other = shop.run("other", text_encoder=str(write_text_encoder(tmp_path, seed=1)), text_dtype="float32")
    for earlier in (yesterday, other):
        counts = shop.check(ROWS, earlier, **encoding)
        assert (counts["pictures_computed"], counts["pictures_read"]) == (0, 0)
        assert counts["texts_computed"] > 0


def test_the_first_day_after_a_text_encoder_is_as_if_there_had_been_none(shop, yesterday, encoding):
    earlier = shop.run("with texts", **encoding)
    counts = shop.check(ROWS, earlier, Path(yesterday))
    assert counts["pictures_computed"] == 0


def test_equal_sentences_of_all_buckets_are_computed_once(shop, encoding, encoded):
    names = {bucket_of(name, NUM_BUCKETS): name for name in map(str, range(50))}
    rows = [item(name + end, "red shoe") for name in names.values() for end in ("", "x", "y")]
    run = shop.run("today", rows, image_encoder="none", image_weights=None, image_weights_name=None, **encoding)
    assert encoded == ["red shoe"]
    assert counts_of(run)["texts_computed"] == len({bucket_of(row["item_id"], NUM_BUCKETS) for row in rows})
    assert len({record.text_vector.tobytes() for record in records_of(run).values()}) == 1


def test_many_sentences_are_encoded_in_pieces(shop, encoding, encoded, monkeypatch):
    expected = bytes_of(shop.run("at once", **encoding))
    picture_vectors._TEXT_CACHES.forget()
    monkeypatch.setattr(resolve_texts, "_SENTENCES_A_CALL", 1)
    assert bytes_of(shop.run("one by one", **encoding)) == expected


def test_changed_pictures_of_an_unfinished_run_cost_no_text_vector(shop, encoding, encoded):
    run = shop.run("today", **encoding)
    del encoded[:]
    picture_vectors._TEXT_CACHES.forget()
    expected = counts_of(run)["texts_computed"]
    shop.put("cut.png", png(7))
    assert shop.again(run, **encoding)["texts_computed"] == expected, "this run computed them, whenever it was"
    assert encoded == []


def test_a_number_format_that_loses_too_much_is_left_or_refused(shop, folder, encoding, monkeypatch):
    expected = bytes_of(shop.run("float32", **encoding))
    monkeypatch.setattr("model.text.text_encoder.MIN_PARITY_COSINE", 1.1)
    with pytest.raises(UsageError, match="give --text-dtype float32"):
        shop.run("asked for", text_encoder=folder, text_dtype="bfloat16")
    monkeypatch.setattr("model.machine.number_formats.has_fast_bfloat16", lambda device: True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = shop.run("auto", text_encoder=folder)
    assert any("float32 is used" in str(warning.message) for warning in caught)
    assert bytes_of(run) == expected


def test_a_saved_encoder_is_the_same(shop, encoding, folder):
    run = shop.run("by name", **encoding)
    again = shop.run("by folder", text_encoder_folder=str(Path(run, "text_encoder")), text_dtype="float32")
    assert bytes_of(again) == bytes_of(run)
    assert not Path(again, "text_encoder").exists()
    made = make_run(shop.folder / "both", ROWS)
    with pytest.raises(UsageError, match="got both"):
        shop.again(made, text_encoder_folder=str(Path(run, "text_encoder")), text_encoder=folder)
