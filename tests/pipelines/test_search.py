"""Search over a published run of a random model; items lie where its towers put their own titles and pictures."""

import dataclasses
import doctest
import hashlib
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torchvision
from apache_beam.options.pipeline_options import PipelineOptions
from PIL import Image

from model.image_encoder import load_image_encoder, save_image_encoder
from model.itemsage import ItemSage, ItemSageConfig
from model.model_store import save_model
from model.query_encoder import QueryEncoder
from model.vocabulary import TokenCounts, Vocabulary
from pipelines import index, search
from pipelines.search import Query, Searcher, answer_lines, bounded_lines, format_results, main, parse_query
from pipelines.searcher import Result
from pipelines.units import Unit, UnitWriter, bucket_name, read_stage_manifest, write_stage_manifest
from schemas.embeddings import embeddings_metadata, write_embeddings_file
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json, sha256_of_file, write_json, write_text
from schemas.hashing import bucket_of
from schemas.tables import EMBEDDING_DIM, ITEMS

NUM_BUCKETS = 3
NUM_TEXT_ITEMS, NUM_PICTURE_ITEMS = 60, 3
WORDS = ("red", "blue", "green", "wool", "silk", "dress", "lamp", "chair", "table", "scarf")
ESCAPE_TITLE = "night \x1b[31mlamp\u202e \u96ea"
TEXT_TASKS, PICTURE_TASKS = {"search/click": 10}, {"closeup/click": 10}


def titles() -> list[str | None]:
    named = [f"{WORDS[n % 10]} {WORDS[(n * 7 + n // 10) % 10]} number {n}" for n in range(NUM_TEXT_ITEMS - 1)]
    return [*named, ESCAPE_TITLE, *[None] * NUM_PICTURE_ITEMS]


def item_ids() -> list[str]:
    return [f"item-{n:03d}" for n in range(NUM_TEXT_ITEMS + NUM_PICTURE_ITEMS)]


def picture_path(folder: Path, number: int) -> Path:
    return folder / f"picture-{number}.png"


def write_pictures(folder: Path) -> None:
    for number in range(NUM_PICTURE_ITEMS):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((300, 260)).save(picture_path(folder, number))


def write_model(
    store: Path,
    image_encoder: Path,
    towers: dict[str, dict[str, int]],
    seed: int = 0,
    vocabulary: Vocabulary | None = None,
) -> str:
    vocabulary = vocabulary or Vocabulary.hashing(5_000)
    vocabulary.save(store / "vocabulary")
    config = ItemSageConfig(
        vocabulary_size=vocabulary.size, picture_dim=512, hash_rows=2_000, width=32, ffn_dim=32, mlp_dim=32, seed=seed
    )
    model_id = save_model(
        ItemSage(config),
        store / ".model",
        vocabulary_folder=store / "vocabulary",
        image_encoder_folder=image_encoder,
        towers=towers,
        split={"kind": "query_hash"},
        metrics={},
    )
    (store / "models").mkdir()
    (store / ".model").rename(store / "models" / model_id)
    return model_id


def write_run(store: Path, model_id: str, vectors: np.ndarray) -> Path:
    """A finished run by hand: items, embeddings, the index stage, manifest, COMPLETED, CURRENT."""
    run = store / "runs" / "2026-06-30" / "0123456789abcdef"
    for bucket in range(NUM_BUCKETS):
        rows = [
            {"item_id": item_id, "title": title, "images": []}
            for item_id, title in zip(item_ids(), titles(), strict=True)
            if bucket_of(item_id, NUM_BUCKETS) == bucket
        ]
        path = run / "items" / f"{bucket_name(bucket, NUM_BUCKETS)}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=ITEMS), path)
    write_stage_manifest(str(run), "items", [], num_buckets=NUM_BUCKETS)
    writer = UnitWriter(str(run), Unit("embeddings", "part-00000-of-00001", "0"))
    with writer.file("embeddings/part-00000-of-00001.parquet") as temporary:
        write_embeddings_file(temporary, item_ids(), vectors, embeddings_metadata(model_id, EMBEDDING_DIM))
    writer.seal()
    write_stage_manifest(str(run), "embeddings", [writer.unit.name], model_id=model_id)
    index.run(index.IndexConfig(run=str(run)), PipelineOptions(["--runner=FnApiRunner"]))
    files = [entry for stage in ("embeddings", "index") for entry in read_stage_manifest(str(run), stage)["files"]]
    write_json(run / "manifest.json", {"files": files, "model_id": model_id})
    write_text(run / "COMPLETED", sha256_of_file(run / "manifest.json") + "\n")
    write_text(store / "CURRENT", run.relative_to(store).as_posix() + "\n")
    return run


@pytest.fixture(scope="session")
def image_encoder_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    torch.save(torchvision.models.squeezenet1_1().state_dict(), folder / "weights.pth")
    encoder = load_image_encoder(
        "squeezenet1_1", str(folder / "weights.pth"), "SqueezeNet1_1_Weights.IMAGENET1K_V1", dtype="float32"
    )
    save_image_encoder(encoder, folder / "saved")
    return folder / "saved"


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


def test_an_item_finds_others_but_not_itself(searcher):
    (results,) = searcher.by_item(["item-007"], top=100)
    assert len(results) == len(item_ids()) - 1
    assert "item-007" not in {result.item_id for result in results}
    vectors = searcher.index.vectors(range(len(item_ids())))
    cosines = vectors @ vectors[7]
    assert results[0].item_id == item_ids()[np.argsort(-cosines)[1]]
    assert len(searcher.by_item(["item-007"], top=4)[0]) == 4


def test_the_index_answers_as_exact_search_does(store, searchers):
    queries = [Query("text", "blue wool"), Query("item", "item-003"), Query("image", str(picture_path(store, 1)))]
    answers = [searcher.search(queries, 10) for searcher in searchers.values()]
    assert [[r.item_id for r in a] for a in answers[0]] == [[r.item_id for r in a] for a in answers[1]]


def test_item_search_needs_no_model(own_store):
    shutil.rmtree(own_store / "models")
    searcher = Searcher(str(own_store))
    assert searcher.by_item(["item-001"], top=1)[0]
    with pytest.raises(UsageError, match="expected a model of the store"):
        searcher.by_text(["red"])


def test_wrong_queries_are_refused(searcher, store):
    with pytest.raises(UsageError, match="'item-999'"):
        searcher.by_item(["item-001", "item-999"])
    with pytest.raises(UsageError, match="white space"):
        searcher.by_text([" \n"])
    with pytest.raises(UsageError, match=r"missing.*nowhere\.png"):
        searcher.by_image(["nowhere.png"])
    with pytest.raises(UsageError, match="not_a_picture"):
        searcher.by_image([store / "CURRENT"])
    with pytest.raises(UsageError, match="remote_uri"):
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


def random_vectors() -> np.ndarray:
    vectors = np.random.default_rng(0).standard_normal((len(item_ids()), EMBEDDING_DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
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


def test_bulk_answers_around_a_text_without_a_known_token(store_with_vocabulary):
    texts = ["blue wool", "qqq", "silk scarf"]
    lines = [json.dumps({"query_id": text, "text": text}).encode() for text in texts]
    searcher = Searcher(str(store_with_vocabulary))
    answers = list(answer_lines(searcher, lines, 2))
    assert [answer["query_id"] for answer in answers] == texts
    assert ["results" in answer for answer in answers] == [True, False, True]
    (alone,) = answer_lines(searcher, lines[2:], 2)
    assert [result["item_id"] for result in answers[2]["results"]] == [result["item_id"] for result in alone["results"]]


def test_token_counts_are_the_vocabularys(store_with_vocabulary):
    (folder,) = (store_with_vocabulary / "models").iterdir()
    encoder, vocabulary = QueryEncoder(folder), Vocabulary.load(folder / "vocabulary")
    texts = ["red dress", "qqq", *[f"wool {n}" for n in range(1100)]]
    vectors, counts = encoder.texts_and_token_counts(texts)
    assert counts.tolist() == [len(vocabulary.encode(text)) for text in texts]
    assert counts[1] == 0
    np.testing.assert_array_equal(vectors, encoder.texts(texts))
    assert [len(part) for part in encoder.texts_and_token_counts([])] == [0, 0]


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
        (lambda run: (run / "COMPLETED").unlink(), False, "finished run"),
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
    with pytest.raises(CorruptFileError, match="items at"):
        Searcher(str(own_store)).by_item(["item-001"])


def test_bulk_answers_every_line_in_order(store, tmp_path, capsys):
    good = [
        {"query_id": "a", "text": titles()[4]},
        {"query_id": 2, "item": "item-007", "text": None},
        {"query_id": "p", "image": str(picture_path(store, 1))},
    ]
    lines = [json.dumps(query).encode() for query in good]
    lines[1:1] = [b"", b"not json", b'{"query_id": "x"}', b'{"query_id": "u", "item": "nobody"}', b'{"text": "red"}']
    (tmp_path / "queries.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    assert main(["--store", str(store), "--queries", str(tmp_path / "queries.jsonl"), "--top", "2"]) == 0
    captured = capsys.readouterr()
    answers = [json.loads(line) for line in captured.out.splitlines() if line.startswith("{")]
    assert [answer["query_id"] for answer in answers] == ["a", None, "x", "u", None, 2, "p"]
    assert ["results" in answer for answer in answers] == [True, False, False, False, False, True, True]
    assert answers[0]["results"][0] == {
        "item_id": "item-004",
        "score": pytest.approx(1, abs=1e-5),
        "title": titles()[4],
    }
    assert all(len(answer["results"]) == 2 for answer in answers if "results" in answer)
    assert answers[-1]["results"][0]["item_id"] == "item-061"
    assert "line 3: expected one JSON object" in answers[1]["error"]
    assert "'nobody'" in answers[3]["error"]
    assert "4 lines could not be answered" in captured.err


def test_bulk_does_not_depend_on_batches(searcher, monkeypatch):
    lines = [json.dumps({"query_id": n, "text": f"{WORDS[n % 10]} {n}"}).encode() for n in range(25)]
    whole = list(answer_lines(searcher, lines, 3))
    monkeypatch.setattr(search, "_LINES_A_BATCH", 4)
    batched = list(answer_lines(searcher, lines, 3))
    assert [a["query_id"] for a in batched] == list(range(25))
    ids = [[[r["item_id"] for r in a["results"]] for a in answers] for answers in (whole, batched)]
    assert ids[0] == ids[1]


def test_bulk_reads_standard_input(store, monkeypatch, capsys):
    line = b'{"query_id": 1, "item": "item-001"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line)))
    assert main(["--store", str(store), "--queries", "-", "--exact"]) == 0
    assert json.loads(capsys.readouterr().out)["query_id"] == 1


@pytest.mark.parametrize(
    "line",
    [
        b'{"query_id": 1, "text": "a", "item": "b"}',
        b'{"query_id": 1, "text": 3}',
        b'{"query_id": 1, "text": ""}',
        b'{"query_id": 1, "text": "\\ud800"}',
        b'{"query_id": 1.5, "text": "a"}',
        b'{"query_id": ["1"], "text": "a"}',
        b'["query_id", "text"]',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"query_id": 1, "text": "' + b"x" * (1 << 20) + b'"}',
    ],
)
def test_bad_lines_are_errors_of_their_own(line):
    parsed = parse_query(line, 12)
    assert isinstance(parsed.query, UsageError)
    assert str(parsed.query).startswith("line 12: expected")
    assert len(str(parsed.query)) < 700


def test_a_line_without_end_is_not_held(monkeypatch):
    monkeypatch.setattr(search, "MAX_LINE_BYTES", 10)
    assert list(bounded_lines(io.BytesIO(b"a\r\nbb\n"))) == [b"a", b"bb"]
    lines = list(bounded_lines(io.BytesIO(b"a\n" + b"b" * 100 + b"\nccc\n" + b"d" * 10 + b"\n")))
    assert (lines[0], lines[2], lines[3]) == (b"a", b"ccc", b"d" * 10)
    assert 10 < len(lines[1]) < 20
    assert len(list(bounded_lines(io.BytesIO(b"b" * 95)))) == 1


def test_a_person_sees_an_aligned_table_without_escape_codes(store, capsys):
    assert main(["--store", str(store), "--text", ESCAPE_TITLE, "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rank", "score", "id", "title"]
    assert lines[1].startswith("   1   1.000  item-059  night \\x1b[31mlamp\\u202e \u96ea")
    assert len(lines) == 3


def test_tables_align_wide_and_hostile_ids():
    table = format_results(
        [Result("\u96ea\u96ea", 1, "a"), Result("x\ny", 0.5, None), Result("abcd", -0.25, "t" * 200)]
    )
    lines = table.splitlines()
    assert len(lines) == 4
    assert lines[1] == "   1   1.000  \u96ea\u96ea  a"
    assert lines[2] == "   2   0.500  x\\ny"
    assert lines[3] == "   3  -0.250  abcd  " + "t" * 79 + "…"
    assert format_results([]) == "no items"


def test_json_of_one_query(store, capsys):
    assert main(["--store", str(store), "--item", "item-001", "--top", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["item"] == "item-001"
    assert [set(result) for result in answer["results"]] == [{"item_id", "score", "title"}] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--item", "item-999"], "'item-999'"),
        ([], "exactly one of"),
        (["--item", "a", "--text", "b"], "--text and --item"),
        (["--text", "a", "--top", "0"], "--top from 1"),
        (["--text", "a", "--top", "many"], "--top"),
        (["--queries", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--text", " "], "white space"),
    ],
)
def test_wrong_calls_exit_with_2(store, capsys, arguments, message):
    try:
        code = main(["--store", str(store), *arguments])
    except SystemExit as error:  # argparse
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_the_flags_are_the_documented_ones():
    flags = [field.name for field in dataclasses.fields(search.SearchConfig)]
    assert flags == ["store", "text", "image", "item", "queries", "top", "exact", "json"]
    assert doctest.testmod(search).attempted >= 1
    assert doctest.testmod(search).failed == 0
