"""Search over a published run of a random model; items lie where its towers put their own titles and pictures."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from search_store import (
    item_ids,
    picture_path,
    random_vectors,
    titles,
    write_model,
    write_pictures,
    write_run,
)

from model.items.query_encoder import QueryEncoder
from model.text.vocabulary import Vocabulary
from pipelines.run.units import write_stage_manifest
from pipelines.search import main
from pipelines.serving.searcher import MAX_TOP, Query, Searcher
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json, write_json
from schemas.records.embeddings import embeddings_metadata, write_embeddings_file
from schemas.tables import EMBEDDING_DIM


def test_a_title_finds_its_item(searcher):
    wanted = [4, 17, 59]
    found = searcher.by_text([titles()[n] for n in wanted], top=3)
    assert [results[0].item_id for results in found] == [item_ids()[n] for n in wanted]
    assert [results[0].title for results in found] == [titles()[n] for n in wanted]
    for results in found:
        scores = [result.score for result in results]
        assert len(results) == 3
        assert scores[0] == pytest.approx(1, abs=1e-5)
        assert scores == sorted(scores, reverse=True)


def test_a_picture_finds_its_item(searcher, store):
    found = searcher.by_image([picture_path(store, 2), picture_path(store, 0)], top=1)
    assert [results[0].item_id for results in found] == ["item-062", "item-060"]
    assert found[0][0].title is None


def test_a_query_picture_is_found_as_its_path_is_written(searcher, store):
    path = str(picture_path(store, 2))
    written = [f"file://{path}", f"{path}?v=1", path.replace("p", "%70")]
    assert [results[0].item_id for results in searcher.by_image(written, top=1)] == ["item-062"] * 3


def test_the_caps_of_the_run_hold_for_query_pictures(own_store):
    run = Searcher(str(own_store)).run
    write_stage_manifest(str(run), "features", [], max_picture_pixels=100)
    with pytest.raises(UsageError, match=r"at most 100 pixels, got 300 x 260.*raise --max-picture-pixels"):
        Searcher(str(own_store)).by_image([picture_path(own_store, 2)])
    write_stage_manifest(str(run), "features", [], max_picture_pixels="many")
    with pytest.raises(CorruptFileError, match=r"whole numbers.*'many'"):
        Searcher(str(own_store)).by_image([picture_path(own_store, 2)])


def test_an_item_finds_others_but_not_itself(searcher):
    (results,) = searcher.by_item(["item-007"], top=100)
    assert len(results) == len(item_ids()) - 1
    assert "item-007" not in {result.item_id for result in results}
    vectors = searcher.index.vectors(range(len(item_ids())))
    cosines = vectors @ vectors[7]
    assert results[0].item_id == item_ids()[np.argsort(-cosines)[1]]
    assert len(searcher.by_item(["item-007"], top=4)[0]) == 4


def test_as_many_results_as_there_are_items_can_be_had(searcher):
    for top in (len(item_ids()), 20_000, MAX_TOP):  # memory is taken for what there is, not for what is asked
        by_text, by_item = searcher.search([Query("text", "blue wool"), Query("item", "item-007")], top)
        assert sorted(result.item_id for result in by_text) == item_ids()
        assert sorted([*(result.item_id for result in by_item), "item-007"]) == item_ids()
    with pytest.raises(UsageError, match=r"expected top from 1 to 2,147,483,647, got 2,147,483,648"):
        searcher.by_text(["blue wool"], top=MAX_TOP + 1)


def test_the_index_answers_as_exact_search_does(store, searchers):
    queries = [Query("text", "blue wool"), Query("item", "item-003"), Query("image", str(picture_path(store, 1)))]
    answers = [searcher.search(queries, 10) for searcher in searchers.values()]
    assert [[r.item_id for r in a] for a in answers[0]] == [[r.item_id for r in a] for a in answers[1]]


def test_item_search_needs_no_model(own_store):
    shutil.rmtree(own_store / "models")
    searcher = Searcher(str(own_store))
    assert searcher.by_item(["item-001"], top=1)[0]
    with pytest.raises(UsageError, match="expected a trained model of the store"):
        searcher.by_text(["red"])


def test_wrong_queries_are_refused(searcher, store):
    with pytest.raises(UsageError, match="'item-999'"):
        searcher.by_item(["item-001", "item-999"])
    with pytest.raises(UsageError, match="white space"):
        searcher.by_text([" \n"])
    with pytest.raises(UsageError, match=r"missing.*nowhere\.png.*: give the path of a picture file \(query"):
        searcher.by_image(["nowhere.png"])
    with pytest.raises(UsageError, match=r"not_a_picture.*: give a picture"):
        searcher.by_image([store / "CURRENT"])
    with pytest.raises(UsageError, match=r"remote_uri: expected the path of a picture file.*: download the"):
        searcher.by_image(["https://example.org/a.png"])
    with pytest.raises(UsageError, match="top from 1"):
        searcher.by_item(["item-001"], top=0)
    assert searcher.by_text([]) == searcher.by_image([]) == searcher.by_item([]) == []


def test_untrained_towers_are_refused_with_the_remedy(tmp_path, image_encoder_folder):
    model_id = write_model(tmp_path, image_encoder_folder, {"text": {}, "picture": {}})
    write_run(tmp_path, model_id, random_vectors())
    write_pictures(tmp_path)
    searcher = Searcher(str(tmp_path))
    with pytest.raises(UsageError, match=r"text tower with training pairs.*--pseudo-queries"):
        searcher.by_text(["red dress"])
    with pytest.raises(UsageError, match=r"picture tower with training pairs.*closeup"):
        searcher.by_image([picture_path(tmp_path, 0)])
    assert searcher.by_item(["item-001"])[0]


def test_texts_without_a_known_token_are_refused(store_with_vocabulary, capsys):
    searcher = Searcher(str(store_with_vocabulary))
    with pytest.raises(UsageError, match="got 'qqq jjj': no word or trigram of the query is in the vocabulary"):
        searcher.by_text(["red dress", "qqq jjj"])
    known, unknown, blank, invisible, by_trigram = searcher.search(
        [Query("text", text) for text in ("red dress", "qqq", " ", "\u200b", "redder")]
    )
    assert len(known) == len(by_trigram) == 10
    assert "'qqq'" in str(unknown)
    assert "white space" in str(blank)
    assert r"'\u200b'" in str(invisible)
    assert main(["--store", str(store_with_vocabulary), "--text", "qqq"]) == 2
    assert "no word or trigram" in capsys.readouterr().err


def test_token_counts_are_the_vocabularys(store_with_vocabulary):
    (folder,) = (store_with_vocabulary / "models").iterdir()
    encoder, vocabulary = QueryEncoder(folder), Vocabulary.load(folder / "vocabulary")
    texts = ["red dress", "qqq", *[f"wool {n}" for n in range(1100)]]
    vectors, counts = encoder.texts_and_inputs(texts)
    assert counts.tolist() == [len(vocabulary.encode(text)) for text in texts]
    assert counts[1] == 0
    np.testing.assert_array_equal(vectors, encoder.texts(texts))
    assert [len(part) for part in encoder.texts_and_inputs([])] == [0, 0]


def test_nothing_published_is_a_wrong_call(tmp_path, capsys):
    assert main(["--store", str(tmp_path), "--text", "red"]) == 2
    assert "published run" in capsys.readouterr().err


def other_index_id(run: Path) -> None:
    path = run / "index" / "manifest.json"
    write_json(path, read_json(path) | {"model_id": "itemsage-ffffffffffff"})


def other_embeddings(run: Path) -> None:
    ids = item_ids()[:2]
    vectors = np.eye(2, EMBEDDING_DIM, dtype=np.float32)
    metadata = embeddings_metadata(read_json(run / "manifest.json")["model_id"], EMBEDDING_DIM)
    write_embeddings_file(run / "embeddings" / "part-00000-of-00001.parquet", ids, vectors, metadata)


def other_manifest_id(run: Path) -> None:
    write_json(run / "manifest.json", read_json(run / "manifest.json") | {"model_id": "itemsage-ffffffffffff"})


def other_published_files(run: Path) -> None:
    manifest = read_json(run / "manifest.json")
    for entry in manifest["files"]:
        entry["sha256"] = "0" * 64 if entry["path"] == "index/items.ann" else entry["sha256"]
    write_json(run / "manifest.json", manifest)


def truncated_index(run: Path) -> None:
    path = run / "index" / "items.ann"
    path.write_bytes(path.read_bytes()[: -(12 + 4 * EMBEDDING_DIM)])


def other_settings(run: Path) -> None:
    path = run / "index" / "manifest.json"
    write_json(path, read_json(path) | {"search_k": 1})


@pytest.mark.parametrize(
    ("damage", "exact", "message"),
    [
        (other_index_id, False, "expected one model id"),
        (other_index_id, True, "expected one model id"),
        (other_manifest_id, False, "expected one model id"),
        (truncated_index, False, r"items\.ann"),
        (other_published_files, False, r"published files.*0{64}"),
        (other_settings, False, r"index/manifest\.json"),
        (other_embeddings, True, r"expected sha256"),
    ],
)
def test_what_does_not_belong_together_is_refused(own_store, damage, exact, message):
    damage(own_store / "runs" / "2026-06-30" / "0123456789abcdef")
    with pytest.raises(CorruptFileError, match=message):
        Searcher(str(own_store), exact=exact)


def test_large_index_files_are_hashed_once(store, monkeypatch):
    hashed = []
    file_digest = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, name: hashed.append(Path(file.name).name) or file_digest(file, name)
    )
    Searcher(str(store))
    assert sorted(hashed) == ["ids.parquet", "items.ann", "manifest.json"]


def test_missing_titles_files_are_named(own_store):
    shutil.rmtree(own_store / "runs" / "2026-06-30" / "0123456789abcdef" / "items")
    with pytest.raises(CorruptFileError, match="expected the file 'items/bucket-"):
        Searcher(str(own_store)).by_item(["item-001"])
