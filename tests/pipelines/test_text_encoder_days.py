"""Days of a store whose model has a text encoder: its vectors are in the features, only those of new texts are
computed, and the commands that look at a run know them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluated_days import LAST
from features_runs import make_run, records_of
from random_models import save_random_model
from random_text_encoders import WIDTH, WORDS, needs_tokenizers, write_text_encoder
from verified_store import current, reseal

from model.items.manifest import read_model_manifest
from model.text.text_encoder import TextEncoder, open_text_encoder
from model.text.text_encoder_spec import item_sentences, save_text_encoder, text_encoder_spec
from pipelines.console.jobs import beam_options
from pipelines.console.thresholds import LogThresholds
from pipelines.daily import job as daily
from pipelines.embed import job as embed
from pipelines.evaluate.evaluated_run import EvaluatedRun
from pipelines.evaluate.job import evaluate_run, format_report
from pipelines.evaluate.judgements import evaluate_judgements
from pipelines.features import job as features
from pipelines.features import picture_vectors
from pipelines.operations.verify.buckets import problems_of_record
from pipelines.operations.verify.job import verify_run
from pipelines.store.models import ITEM_MODELS
from schemas.errors import UsageError
from schemas.records.tfrecords import decode_features, encode_features, read_records, write_records
from schemas.tables import CATALOGUE, ENGAGEMENTS, JUDGEMENTS

pytestmark = pytest.mark.medium

needs_tokenizers()
NUM_ITEMS = 60


def row(number: int, end: str = "") -> dict[str, Any]:
    words = np.random.default_rng(number).choice(WORDS[4:], 4)
    return {"item_id": f"{number:03d}", "title": " ".join(words) + end, "brand": "a", "images": []}


def run_day(folder: Path, date: str, rows: list[dict[str, Any]]) -> Path:
    """The run of a day on this catalogue."""
    catalog = folder / f"{date}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=CATALOGUE), catalog)
    config = daily.DailyConfig(catalog=str(catalog), image_root=str(folder), store=str(folder / "store"), date=date)
    daily.run(config, beam_options([]))
    (run,) = (folder / "store" / "runs" / date).iterdir()
    return run


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """A folder with a store of two days: on the second one item has another title, and one is new."""
    folder = tmp_path_factory.mktemp("days")
    spec = text_encoder_spec(str(write_text_encoder(folder / "published")), "cpu", "float32")
    save_text_encoder(spec, folder / "saved")
    model = save_random_model(folder / "store" / "models", WORDS[4:], 2, text_encoder_folder=folder / "saved")
    ITEM_MODELS.make_current(str(folder / "store"), model.name)
    rows = [row(number) for number in range(NUM_ITEMS)]
    run_day(folder, "2026-06-29", rows)
    picture_vectors._TEXT_CACHES.forget()
    encoded: list[tuple[str, ...]] = []
    encode = TextEncoder.encode_means

    def recorded(self, items, *told):
        encoded.extend(items)
        return encode(self, items, *told)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TextEncoder, "encode_means", recorded)
        run_day(folder, "2026-06-30", [row(0, " milk"), *rows[1:], row(NUM_ITEMS)])
    (folder / "encoded.json").write_text(json.dumps(encoded))
    return folder


@pytest.fixture
def model(shop) -> Path:
    """The model's folder."""
    return ITEM_MODELS.folder(str(shop / "store"), ITEM_MODELS.current(str(shop / "store")))


@pytest.fixture
def today(shop) -> Path:
    (run,) = (shop / "store" / "runs" / "2026-06-30").iterdir()
    return run


def test_records_have_the_vectors_of_the_models_encoder(model, today):
    encoder = open_text_encoder(model / "text_encoder", "cpu")
    assert read_model_manifest(model)["text_encoder_id"] == encoder.network_id
    records = records_of(str(today))
    rows = [row(0, " milk"), *(row(number) for number in range(1, NUM_ITEMS + 1))]
    vectors_ND = encoder.encode_means([item_sentences(each) for each in rows]).astype(np.float16)
    np.testing.assert_array_equal([records[each["item_id"]].text_vector for each in rows], vectors_ND)


def test_the_second_day_encodes_what_is_new(shop):
    new = [list(item_sentences(row(0, " milk"))), list(item_sentences(row(NUM_ITEMS)))]
    assert sorted(json.loads((shop / "encoded.json").read_text())) == sorted(new)


def write_log(shop: Path, titles: dict[int, str]) -> dict[str, Any]:
    """A log of engagements after each item's title by its number; what asks for an evaluation on it."""
    log = [
        {"timestamp": LAST, "surface": "search", "query": title, "item_id": f"{number:03d}", "action": action}
        for number, title in titles.items()
        for action in ("click", "save")
    ]
    pq.write_table(pa.Table.from_pylist(log, schema=ENGAGEMENTS), shop / "log.parquet")
    return {"engagements": str(shop / "log.parquet"), "image_root": None, "date": "2026-06-30", "columns": {}}


def text_encoder_scores(model: Path, run: Path, texts: list[str]) -> np.ndarray:
    """float32 [Q, N]: cosines of the texts with all items of the run, by the text encoder alone."""
    records = records_of(str(run))
    items_ND = np.stack([records[item_id].text_vector for item_id in sorted(records)]).astype(np.float32)
    texts_QD = open_text_encoder(model / "text_encoder", "cpu").encode(texts)
    return texts_QD.astype(np.float16).astype(np.float32) @ items_ND.T


def test_the_text_encoder_alone_is_a_baseline_of_text_queries(shop, model, today, monkeypatch):
    titles = {number: row(number)["title"] for number in range(1, 20)}
    asked = write_log(shop, titles)
    encoded: list[str] = []
    encode = TextEncoder.encode
    monkeypatch.setattr(TextEncoder, "encode", lambda self, texts: encoded.extend(texts) or encode(self, texts))
    entry, _ = evaluate_run(today, model, **asked)["tasks"]
    assert sorted(encoded) == sorted(titles.values())  # once for the model, the baseline and both tasks
    ids = sorted(records_of(str(today)))
    ranks = []
    number_of = {title: number for number, title in titles.items()}
    for number, scores_N in zip(number_of.values(), text_encoder_scores(model, today, list(number_of)), strict=True):
        ranks.append(int((scores_N >= scores_N[ids.index(f"{number:03d}")] - 1e-6).sum()))
    figures = entry["methods"]["text_encoder"]
    assert len(ranks) == entry["pairs"]
    assert figures["recall@10"] == np.mean(np.array(ranks) <= 10)
    assert figures["mrr"] == pytest.approx(np.mean(1 / np.array(ranks)))
    difference = entry["differences"]["text_encoder"]
    assert difference["mrr_low"] <= entry["methods"]["itemsage"]["mrr"] - figures["mrr"] <= difference["mrr_high"]
    assert entry["index"]["backend"] == "annoy"


def test_bm25_and_the_text_encoder_fused_by_rank_are_a_baseline(shop, model, today):
    """By one word of the item's title, so that neither of the two is always right."""
    words = {number: row(number)["title"].split()[0] for number in range(1, 20)}
    entry, _ = evaluate_run(today, model, **write_log(shop, words))["tasks"]
    assert {"text_encoder", "hybrid"} <= entry["methods"].keys()
    assert "hybrid_expanded" not in entry["methods"]  # the log has no training part
    asked = sorted(set(words.values()))
    both = EvaluatedRun(today, model).bm25.scores(asked), text_encoder_scores(model, today, asked)
    reciprocal_ranks = []
    for query, *scores in zip(asked, *both, strict=True):
        fused_N = np.array(
            [sum(1 / (60 + sum(other >= scores_N[n] for other in scores_N)) for scores_N in scores) for n in range(61)]
        )
        relevant = [number for number, word in words.items() if word == query]
        others_N = np.delete(fused_N, relevant)
        reciprocal_ranks.append(max(1 / (1 + sum(others_N >= fused_N[item] - 1e-9)) for item in relevant))
    assert 0.05 < np.mean(reciprocal_ranks) < 0.95
    assert entry["methods"]["hybrid"]["mrr"] == pytest.approx(np.mean(reciprocal_ranks))
    assert entry["methods"]["hybrid"]["mrr"] not in [entry["methods"][name]["mrr"] for name in ("bm25", "text_encoder")]


def test_evaluated_queries_have_the_vectors_of_searches(model, today):
    queries = ("red shoe", "milk for the rain", "never asked")
    run = EvaluatedRun(today, model)
    for _ in range(2):  # the second time what is remembered
        np.testing.assert_array_equal(run.text_queries(queries)[0], run.encoder.texts(queries))


def test_judged_queries_are_asked_of_the_text_encoder_alone(shop, model, today):
    judged = [
        {"surface": "search", "query": row(number)["title"], "item_id": f"{other:03d}", "grade": float(number == other)}
        for number in range(1, 8)
        for other in range(1, 8)
    ]
    pq.write_table(pa.Table.from_pylist(judged, schema=JUDGEMENTS), shop / "judged.parquet")
    run = EvaluatedRun(today, model)
    report = evaluate_judgements(run, str(shop / "judged.parquet"), date=None, columns={}, thresholds=LogThresholds())
    (entry,) = report["tasks"]
    assert entry["methods"]["text_encoder"]["ndcg@10"] > entry["methods"]["random"]["ndcg@10"]
    for name in ("text_encoder", "hybrid"):
        assert {"ndcg@10", "hit@10", "mrr", "mrr_low"} <= entry["differences"][name].keys()
    assert "  text_encoder  " in format_report(report)
    assert "  hybrid  " in format_report(report)
    assert "search: through the index (annoy) come " in format_report(report)


def test_verify_finds_the_run_sound_and_computes_it_again(shop, today):
    found = verify_run(shop / "store", today, 5, str(shop))
    assert [(each.check, each.problems) for each in found if each.problems] == []
    (rebuilt,) = [each for each in found if each.check == "rebuild"]
    assert rebuilt.warnings == []


def test_verify_finds_other_text_vectors(shop, tmp_path):
    """All checksums made to fit: only computing them again tells."""
    own = Path(shutil.copytree(shop / "store", tmp_path / "store", symlinks=True))
    run = current(own)
    for path in (run / "features").iterdir():
        items = [decode_features(payload) for payload in read_records(path)]
        write_records(path, [encode_features(replace(item, text_vector=-item.text_vector)) for item in items])
    reseal(run, "features", ("features/",))
    (rebuilt,) = [each for each in verify_run(own, run, 3, str(shop)) if each.check == "rebuild"]
    wrong = [problem for problem in rebuilt.problems if "expected the stored text vector, got another for" in problem]
    assert len(wrong) == 3


def test_what_is_wrong_with_a_text_vector(today):
    record = next(iter(records_of(str(today)).values()))
    assert problems_of_record(record, 0, None, WIDTH) == []
    for dim, vector_D in ((0, record.text_vector), (WIDTH, record.text_vector[1:]), (WIDTH, record.text_vector * 2)):
        (problem,) = problems_of_record(replace(record, text_vector=vector_D), 0, None, dim)
        assert f"expected a text vector of {dim} numbers and norm 1" in problem
    not_finite = replace(record, text_vector=np.full(WIDTH, np.nan, np.float16))
    assert len(problems_of_record(not_finite, 0, None, WIDTH)) == 1


def test_features_without_the_models_text_encoder_are_not_embedded(model, tmp_path):
    run = make_run(tmp_path / "run", [row(0), row(1)])
    config = features.FeaturesConfig(
        run=run, vocabulary=str(model / "vocabulary"), image_encoder_folder=str(model / "image_encoder")
    )
    features.run(config, beam_options([]))
    with pytest.raises(UsageError, match=r"expected features made with text_encoder_id .*, got None"):
        embed.run(embed.EmbedConfig(run=run, model=str(model)), beam_options([]))
