"""Evaluation of hand-made runs of a random model: what is taken over, what is computed, and what is loaded for it."""

import datetime as dt
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import model.image_encoder
import model.model_store
import model.query_encoder
import pipelines.evaluation.plan
import pipelines.evaluation.query_pictures
from model.image_encoder import load_image_encoder, save_image_encoder
from model.itemsage import ItemSage, ItemSageConfig
from model.model_store import save_model
from model.query_encoder import QueryEncoder
from model.split import Split
from model.vocabulary import TokenCounts, Vocabulary
from pipelines import cli
from pipelines.evaluate import evaluate_or_reuse, evaluate_run, format_report
from pipelines.evaluation.evaluated_run import EvaluatedRun
from pipelines.evaluation.inputs import sample_queries
from pipelines.evaluation.judgements import evaluate_judgements
from pipelines.evaluation.query_pictures import PATH, QUERY_PICTURES
from pipelines.query_rows import QUERY_ROWS, rows_hash
from pipelines.units import Unit, UnitWriter, read_stage_manifest, write_stage_manifest
from schemas.embeddings import embeddings_metadata, write_embeddings_file
from schemas.errors import ThresholdError
from schemas.files import read_json, sha256_of_file, write_json, write_text
from schemas.records import ItemFeatures, encode_features, write_records
from schemas.tables import EMBEDDING_DIM, ENGAGEMENTS, FINGERPRINTS, ITEMS, JUDGEMENTS

NUM_ITEMS, PICTURE_DIM = 40, 512
BUCKET = "bucket-00000-of-00001"
WORDS = ("red", "blue", "green", "wool", "silk", "dress", "lamp", "chair", "table", "scarf")
IDS = [f"item-{number:02d}" for number in range(NUM_ITEMS)]
PICTURES = [f"queries/q{number}.png" for number in range(4)]
CUT = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
LAST = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)
DATE, NEXT_DATE = "2026-06-30", "2026-07-01"

Row = dict[str, Any]


def row(surface: str, query: str | None, item: int, action: str = "click", when: dt.datetime = LAST) -> Row:
    return {"timestamp": when, "surface": surface, "query": query, "item_id": IDS[item], "action": action}


ROWS = [
    *[row("search", f"{WORDS[n]} {WORDS[n - 3]}", n) for n in range(10)],
    row("search", WORDS[0], 3, "save"),
    *[row("closeup", uri, 5 + number) for number, uri in enumerate(PICTURES)],
    row("home", None, 4),
    row("search", "red", 7, "impression"),
    *[row("search", "blue", n % 3, when=CUT - dt.timedelta(days=1)) for n in range(6)],
]


def write_rows(path: Path, rows: list[Row]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), path)
    return str(path)


def draw_picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).resize((64, 64)).save(path, format="BMP")  # of one size, whatever is drawn
    settle(path)


def settle(path: Path) -> None:
    """Makes a file that was written now one that was written a minute ago."""
    settled_ns = path.stat().st_mtime_ns - 60_000_000_000
    os.utime(path, ns=(settled_ns, settled_ns))


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    """A random model with both towers, whose engagements before CUT count as trained on."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    torch.save(torchvision.models.squeezenet1_1().state_dict(), folder / "weights.pth")
    name = "SqueezeNet1_1_Weights.IMAGENET1K_V1"
    save_image_encoder(
        load_image_encoder("squeezenet1_1", str(folder / "weights.pth"), name, dtype="float32"), folder / "encoder"
    )
    tokens = TokenCounts()
    for word in WORDS:
        tokens.add_text(word)
    vocabulary = Vocabulary.from_counts(tokens.table())
    vocabulary.save(folder / "vocabulary")
    config = ItemSageConfig(
        vocabulary_size=vocabulary.size, picture_dim=PICTURE_DIM, hash_rows=500, width=32, ffn_dim=32, mlp_dim=32
    )
    cut_us = int(CUT.timestamp()) * 1_000_000
    model_id = save_model(
        ItemSage(config),
        folder / ".model",
        vocabulary_folder=folder / "vocabulary",
        image_encoder_folder=folder / "encoder",
        towers={"text": {"search/click": 10}, "picture": {"closeup/click": 10}},
        split=Split(
            kind="time",
            has_validation=True,
            has_test=True,
            validation_start_us=cut_us - 2,
            gap_start_us=cut_us - 1,
            test_start_us=cut_us,
        ),
        metrics={},
    )
    return (folder / ".model").rename(folder / model_id)


def write_unit(run: Path, stage: str, path: str, write: Callable[[str], object], **facts: Any) -> None:
    writer = UnitWriter(str(run), Unit(stage, BUCKET, "0"))
    with writer.file(path) as temporary:
        write(temporary)
    writer.seal()
    write_stage_manifest(str(run), stage, [BUCKET], **facts)


def write_run(run: Path, model: Path, item_pictures: dict[int, tuple[bytes, np.ndarray]] | None = None) -> Path:
    """items/, features/ (item -> sha256 and vector of its one picture) and embeddings/ of a run."""
    item_pictures = item_pictures or {}
    titles = [f"{WORDS[n % 10]} {WORDS[(n * 7 + n // 10) % 10]}" for n in range(NUM_ITEMS)]
    items = [{"item_id": IDS[n], "title": titles[n], "images": []} for n in range(NUM_ITEMS)]
    table = pa.Table.from_pylist(items, schema=ITEMS)
    write_unit(run, "items", f"items/{BUCKET}.parquet", lambda path: pq.write_table(table, path), num_buckets=1)
    blank = np.zeros((0, PICTURE_DIM), np.float16)
    records = [
        ItemFeatures(
            item_id=IDS[n],
            token_ids=np.zeros(0, np.int32),
            token_offsets=np.zeros(13, np.int32),
            pictures=item_pictures[n][1][None] if n in item_pictures else blank,
            picture_sha256=(item_pictures[n][0],) if n in item_pictures else (),
        )
        for n in range(NUM_ITEMS)
    ]
    write_unit(
        run,
        "features",
        f"features/{BUCKET}.tfrecord",
        lambda path: write_records(path, map(encode_features, records)),
        encoder_id=QueryEncoder(model).image_encoder_spec.encoder_id,
    )
    vectors = np.random.default_rng(0).standard_normal((NUM_ITEMS, EMBEDDING_DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    metadata = embeddings_metadata(model.name, EMBEDDING_DIM)
    write_unit(
        run,
        "embeddings",
        "embeddings/part-00000-of-00001.parquet",
        lambda path: write_embeddings_file(path, IDS, vectors, metadata),
        model_id=model.name,
    )
    return run


@dataclass
class Days:
    """A shop whose days are evaluated one after the other; `loads` counts what the last one loaded and opened."""

    folder: Path
    model: Path
    loads: Counter[str]
    run: Path | None = None

    @property
    def image_root(self) -> Path:
        return self.folder / "images"

    def new_run(self, **given: Any) -> Path:
        number = len(list(self.folder.glob("runs/*/*")))
        return write_run(self.folder / "runs" / DATE / f"{number:016x}", self.model, **given)

    def day(self, rows: list[Row] | str = ROWS, run: Path | None = None, **given: Any) -> tuple[dict[str, Any], bool]:
        """Evaluates the next day's run, with the last one as yesterday, and writes its metrics.json."""
        run = run or self.new_run()
        log = rows if isinstance(rows, str) else write_rows(self.folder / f"{run.name}.parquet", rows)
        self.loads.clear()
        facts = {"engagements": log, "image_root": str(self.image_root), "date": DATE, "columns": {}, **given}
        report, reused = evaluate_or_reuse(run, self.model, self.run, **facts)
        assert json.loads(json.dumps(report)) == report
        write_json(run / "metrics.json", report)
        self.run = run
        return report, reused

    def from_scratch(self, rows: list[Row] | str = ROWS, **given: Any) -> dict[str, Any]:
        """The report of a shop without a yesterday."""
        other = Days(self.folder / "fresh", self.model, self.loads)
        shutil.rmtree(other.folder, ignore_errors=True)
        shutil.copytree(self.image_root, other.image_root)
        report, reused = other.day(rows, **given)
        assert not reused
        return report

    def cached(self) -> list[Row]:
        assert self.run is not None
        return pq.read_table(self.run / PATH).to_pylist()


@pytest.fixture
def shop(tmp_path, model_folder, monkeypatch) -> Days:
    """Four good query pictures; every loader is watched, the item encoder's is forbidden."""
    loads: Counter[str] = Counter()

    def watch(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            loads[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, watched)

    def forbidden(*_: Any) -> None:
        raise AssertionError("evaluation needs no item encoder")

    watch(model.query_encoder, "load_text_tower")
    watch(model.query_encoder, "load_picture_tower")
    watch(model.image_encoder, "ImageEncoder")
    watch(pipelines.evaluation.query_pictures, "read_picture_file")
    for name in ("load_item_encoder", "load_model"):
        monkeypatch.setattr(model.model_store, name, forbidden)
    days = Days(tmp_path, model_folder, loads)
    for number, uri in enumerate(PICTURES):
        draw_picture(days.image_root / uri, number)
    return days


def task(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in report["tasks"] if entry["task"] == name)


def test_first_day_is_computed_with_baselines_and_leaves_its_query_pictures(shop):
    report, reused = shop.day()
    assert not reused
    assert [entry["task"] for entry in report["tasks"]] == ["closeup/click", "search/click", "search/save"]
    assert set(task(report, "search/click")["methods"]) == {"itemsage", "tfidf", "bm25", "popularity"}
    assert set(task(report, "closeup/click")["methods"]) == {"itemsage", "raw_pictures", "popularity"}
    rows = {name: count for name, count in report["rows"].items() if count}
    assert rows == {"rows_read": 23, "rows_other_surface_or_action": 2, "rows_of_training_part": 6}
    assert [row["uri"] for row in shop.cached()] == PICTURES
    assert pq.read_schema(shop.run / PATH).equals(QUERY_PICTURES)
    expected = QueryEncoder(shop.model).image_encoder.encode_stream(
        (uri, (shop.image_root / uri).read_bytes()) for uri in PICTURES
    )
    assert [row["vector"] for row in shop.cached()] == [vector.astype("<f2").tobytes() for _, vector in expected]
    public = evaluate_run(
        shop.run,
        shop.model,
        engagements=str(shop.folder / f"{shop.run.name}.parquet"),
        image_root=str(shop.image_root),
        date=DATE,
        columns={},
    )
    assert public == {name: value for name, value in report.items() if name not in ("fingerprint", "checksum")}


def test_an_unchanged_day_reuses_and_loads_nothing(shop):
    first, _ = shop.day()
    bytes_before = (shop.run / PATH).read_bytes()
    second, reused = shop.day()
    assert reused
    assert second == first
    assert format_report(second) == format_report(first)
    assert not shop.loads
    assert (shop.run / PATH).read_bytes() == bytes_before


def test_other_files_with_equal_rows_and_a_later_date_reuse(shop):
    shop.day([*ROWS, row("home", None, 3, when=LAST + dt.timedelta(hours=1))])
    parts = shop.folder / "log"
    write_rows(parts / "a.parquet", [*ROWS[12:][::-1], *[row("home", None, 1) for _ in range(5)]])
    write_rows(parts / "b.parquet", [*ROWS[:12][::-1], row("closeup", "x.png", 2, "impression")])
    report, reused = shop.day(str(parts), date=NEXT_DATE)
    assert reused
    assert not shop.loads
    assert (report["rows"]["rows_read"], report["rows"]["rows_other_surface_or_action"]) == (29, 8)
    assert report == shop.from_scratch(str(parts), date=NEXT_DATE)


def test_rows_after_the_date_do_not_count(shop):
    shop.day()
    report, reused = shop.day([*ROWS, row("search", "lamp", 3, when=LAST + dt.timedelta(days=1))])
    assert reused
    assert report["rows"]["rows_after_date"] == 1
    assert not shop.day([*ROWS, row("search", "lamp", 3, when=LAST + dt.timedelta(days=1))], date=NEXT_DATE)[1]


def test_one_more_engagement_loads_the_towers_alone(shop):
    shop.day()
    more = [*ROWS, row("search", "silk lamp", 3)]
    report, reused = shop.day(more)
    assert not reused
    assert shop.loads == {"load_text_tower": 1, "load_picture_tower": 1}
    assert task(report, "search/click")["queries"] == 11
    assert report == shop.from_scratch(more)


def test_an_engagement_that_counts_twice_is_another_evaluation(shop):
    first, _ = shop.day()
    second, reused = shop.day([*ROWS, ROWS[-1]])  # of the training part: popularity counts it
    assert not reused
    assert second["fingerprint"] != first["fingerprint"]


@pytest.mark.parametrize(("surface", "idle"), [("search", "load_picture_tower"), ("closeup", "load_text_tower")])
def test_a_tower_without_queries_is_not_loaded(shop, surface, idle):
    shop.day([each for each in ROWS if each["surface"] == surface])
    assert sum(shop.loads[name] for name in ("load_text_tower", "load_picture_tower")) == 1
    assert not shop.loads[idle]
    assert shop.loads["ImageEncoder"] == (surface == "closeup")


def test_a_changed_query_picture_is_the_only_one_that_is_read(shop):
    first, _ = shop.day()
    before = shop.cached()
    draw_picture(shop.image_root / PICTURES[2], 99)
    second, reused = shop.day()
    assert not reused
    assert shop.loads["read_picture_file"] == 2  # to hash it and to encode it
    assert second["fingerprint"] != first["fingerprint"]
    same = [old["vector"] == new["vector"] for old, new in zip(before, shop.cached(), strict=True)]
    assert same == [True, True, False, True]
    assert second == shop.from_scratch()


def test_a_touched_or_renamed_picture_of_equal_content_is_not_encoded(shop):
    first, _ = shop.day()
    (shop.image_root / PICTURES[0]).touch()
    second, reused = shop.day()
    assert reused
    assert second == first
    assert shop.loads == {"read_picture_file": 1}
    (shop.image_root / PICTURES[0]).rename(shop.image_root / "renamed.png")
    rows = [{**each, "query": "renamed.png"} if each["query"] == PICTURES[0] else each for each in ROWS]
    assert not shop.day(rows)[1]
    assert shop.loads["ImageEncoder"] == 0


def test_a_broken_query_picture_is_remembered_until_it_is_mended(shop):
    broken = shop.image_root / PICTURES[1]
    good = broken.read_bytes()
    broken.write_bytes(good[:100])
    settle(broken)
    report, _ = shop.day()
    assert report["rows"]["query_pictures_broken"] == 1
    assert task(report, "closeup/click")["queries"] == 3
    (remembered,) = [row for row in shop.cached() if row["uri"] == PICTURES[1]]
    assert (remembered["vector"], remembered["reason"]) == (None, "truncated")
    again, reused = shop.day()
    assert reused
    assert not shop.loads
    assert again["rows"]["query_pictures_broken"] == 1
    _, reused = shop.day(verify_images=True)
    assert (reused, shop.loads["ImageEncoder"]) == (True, 1)
    broken.write_bytes(good)
    mended, reused = shop.day()
    assert not reused
    assert task(mended, "closeup/click")["queries"] == 4
    assert mended == shop.from_scratch()


def test_a_missing_query_picture_is_looked_for_every_day(shop):
    good = (shop.image_root / PICTURES[1]).read_bytes()
    (shop.image_root / PICTURES[1]).unlink()
    shop.day()
    assert [(row["bytes"], row["reason"]) for row in shop.cached() if row["vector"] is None] == [(-1, "missing")]
    assert shop.day()[1]
    (shop.image_root / PICTURES[1]).write_bytes(good)
    report, reused = shop.day()
    assert not reused
    assert report["rows"]["query_pictures_broken"] == 0


def test_a_query_picture_that_has_just_been_written_is_read_again(shop):
    """A second write may leave size and time as they are."""
    path = shop.image_root / PICTURES[0]
    draw_picture(path, 55)
    os.utime(path)
    shop.day()
    (row,) = [row for row in shop.cached() if row["uri"] == PICTURES[0]]
    assert (row["bytes"], row["modified_ns"]) == (-1, -1)
    assert row["vector"] is not None
    times = path.stat()
    draw_picture(path, 56)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    second, reused = shop.day()
    assert not reused
    assert second == shop.from_scratch()


def test_verify_images_sees_what_size_and_time_hide(shop):
    path = shop.image_root / PICTURES[0]
    first, _ = shop.day()
    times = path.stat()
    draw_picture(path, 77)
    assert path.stat().st_size == times.st_size
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert shop.day() == (first, True)
    report, reused = shop.day(verify_images=True)
    assert not reused
    assert shop.loads["read_picture_file"] == len(PICTURES) + 1
    assert report == shop.from_scratch()
    assert shop.day(verify_images=True) == (report, True)
    assert shop.loads == {"read_picture_file": len(PICTURES)}


def test_another_image_root_is_trusted_by_content_alone(shop):
    first, _ = shop.day()
    moved = shop.folder / "moved"
    shutil.copytree(shop.image_root, moved)  # keeps times and sizes
    assert shop.day(image_root=str(moved)) == (first, True)
    assert shop.loads == {"read_picture_file": len(PICTURES)}


def test_a_query_that_is_a_catalogue_picture_has_its_vector(shop):
    data = (shop.image_root / PICTURES[0]).read_bytes()
    vector = np.arange(PICTURE_DIM, dtype=np.float16) / 100
    digest = hashlib.sha256(data).digest()
    run = shop.new_run(item_pictures={5: (digest, vector)})
    picture = {"uri": "elsewhere.png", "bytes": len(data), "modified_ns": 1, "sha256": digest}
    listed = {"item_id": IDS[5], "text_hash": b"0" * 16, "pictures": [picture]}
    (run / "fingerprints").mkdir()
    pq.write_table(pa.Table.from_pylist([listed], schema=FINGERPRINTS), run / "fingerprints" / f"{BUCKET}.parquet")
    report, _ = shop.day([row("closeup", PICTURES[0], 5)], run=run)
    assert shop.loads["ImageEncoder"] == 0
    assert [row["vector"] for row in shop.cached()] == [vector.astype("<f2").tobytes()]
    assert task(report, "closeup/click")["methods"]["raw_pictures"]["recall@1"] == 1


def test_equal_pictures_are_encoded_once(shop, monkeypatch):
    shutil.copy(shop.image_root / PICTURES[0], shop.image_root / PICTURES[3])
    seen = []
    original = pipelines.evaluation.query_pictures.QueryPictures._read

    def read(self, uris, found):
        seen.extend(uris)
        return original(self, uris, found)

    monkeypatch.setattr(pipelines.evaluation.query_pictures.QueryPictures, "_read", read)
    shop.day()
    assert seen == PICTURES[:3]
    assert shop.cached()[0]["vector"] == shop.cached()[3]["vector"]


@pytest.mark.parametrize("damage", ["cut", "digit", "absent", "not json", "a list"])
def test_damaged_metrics_are_computed_again(shop, damage):
    first, _ = shop.day()
    path = shop.run / "metrics.json"
    text = path.read_text()
    damaged = {
        "cut": text[:-20],
        "digit": text.replace('"queries": 10', '"queries": 11'),
        "not json": "\x00",
        "a list": "[1]",
    }
    assert damaged.get(damage) != text
    path.unlink()
    if damage in damaged:
        path.write_text(damaged[damage])
    second, reused = shop.day()
    assert not reused
    assert second == first
    assert shop.loads["ImageEncoder"] == 0


def test_a_flipped_byte_of_the_remembered_vectors_is_found(shop, capsys):
    first, _ = shop.day()
    path = shop.run / PATH
    good = bytearray(path.read_bytes())
    for place in range(4, len(good), max(1, len(good) // 40)):
        bad = bytearray(good)
        bad[place] ^= 0x10
        path.write_bytes(bad)
        yesterday = shop.run
        report, _ = shop.day(run=shop.new_run())
        assert report == first, place
        shutil.rmtree(shop.run)
        shop.run = yesterday
    assert "encoded again" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["items", "features", "embeddings"])
def test_other_items_are_another_evaluation(shop, stage):
    shop.day()
    run = shop.new_run()
    manifest = read_stage_manifest(str(run), stage)
    manifest["files"].append({"path": f"quarantine/{stage}-x.parquet", "bytes": 1, "sha256": "1" * 64})
    write_json(run / "manifests" / f"{stage}.json", manifest)
    assert shop.day(run=run)[1]  # a quarantine file names its run: it is none of the evaluation's inputs
    run = shop.new_run()
    manifest = read_stage_manifest(str(run), stage)
    manifest["files"][0]["sha256"] = "0" * 64
    write_json(run / "manifests" / f"{stage}.json", manifest)
    assert not shop.day(run=run)[1]


def test_what_cannot_be_evaluated_says_why_and_is_reused(shop):
    trained_on = ROWS[-6:]
    report, reused = shop.day(trained_on)
    assert not reused
    assert "expected held-out engagements" in report["not_evaluated"]
    assert "got none of 6 rows" in report["not_evaluated"]
    report, reused = shop.day([*trained_on, row("home", None, 1)])
    assert reused
    assert "got none of 7 rows" in report["not_evaluated"]
    assert report == shop.from_scratch([*trained_on, row("home", None, 1)])
    report, _ = shop.day([row("closeup", "gone.png", 1)])
    assert "see --image-root" in report["not_evaluated"]
    report, _ = shop.day([row("closeup", PICTURES[0], 1)], image_root=None)
    assert "see --image-root" in report["not_evaluated"]
    assert not shop.loads
    assert not (shop.run / PATH).exists()
    with pytest.raises(ThresholdError, match="got none of 6 rows"):
        evaluate_run(
            shop.run,
            shop.model,
            engagements=write_rows(shop.folder / "x.parquet", trained_on),
            image_root=None,
            date=DATE,
            columns={},
        )


def test_queries_without_a_known_token_are_misses(shop):
    report, _ = shop.day([row("search", "xylophone", 2), row("search", "red", 3)])
    assert report["rows"]["queries_without_known_token"] == 1
    (entry,) = report["tasks"]
    assert (entry["queries"], entry["pairs"]) == (2, 2)
    single, _ = shop.day([row("search", "xylophone", 2)])
    assert task(single, "search/click")["methods"]["itemsage"]["mrr"] == 1 / NUM_ITEMS
    assert "retrieval_frequency" not in task(single, "search/click")


def test_the_command_reads_what_a_published_run_remembers_and_changes_nothing(shop, capsys):
    shop.day()
    run = shop.run
    store = shop.folder
    (store / "models").mkdir()
    (store / "models" / shop.model.name).symlink_to(shop.model)
    write_json(run / "manifest.json", {"date": DATE, "model_id": shop.model.name})
    write_text(run / "COMPLETED", sha256_of_file(run / "manifest.json") + "\n")
    write_text(store / "CURRENT", f"runs/{DATE}/{run.name}\n")
    draw_picture(shop.image_root / "new.png", 5)
    log = write_rows(store / "log.parquet", [*ROWS, row("closeup", "new.png", 1)])
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()}
    shop.loads.clear()
    call = ["evaluate", "--store", str(store), "--engagements", log, "--image-root", str(shop.image_root)]
    assert cli.main([*call, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert task(report, "closeup/click")["queries"] == 5
    assert "fingerprint" not in report
    assert shop.loads["read_picture_file"] == 2
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()} == before
    assert cli.main(call) == 0
    assert "closeup/click" in capsys.readouterr().out


def test_an_unpublished_run_keeps_its_own_report(shop):
    yesterday = shop.day([*ROWS, row("search", "silk lamp", 3)]) and shop.run
    first, _ = shop.day()
    run, shop.run = shop.run, yesterday
    assert shop.day(run=run) == (first, False)  # not yesterday's: its gates failed, and the call is repeated
    assert not shop.loads
    more = [*ROWS, row("search", "silk lamp", 3)]
    shop.run = yesterday
    assert shop.day(more, run=run)[1]  # another log than before: yesterday's report after all
    write_json(run / "metrics.json", {**read_json(run / "metrics.json"), "items": 1})
    shop.run = None
    again, reused = shop.day(more, run=run)
    assert (again["items"], reused) == (NUM_ITEMS, False)
    assert shop.loads["load_text_tower"] == 1


def test_a_report_that_is_taken_over_groups_no_text_rows(shop, monkeypatch):
    searches = [each for each in ROWS if each["surface"] == "search"]
    first, _ = shop.day(searches)

    def forbidden(*_: Any) -> None:
        raise AssertionError("neither pairs nor popularity are needed")

    monkeypatch.setattr(pipelines.evaluation.plan, "held_out_tasks", forbidden)
    monkeypatch.setattr(pipelines.evaluation.plan, "popularity_scores", forbidden)
    assert shop.day(searches) == (first, True)


def test_a_day_without_change_need_not_wait_for_big_libraries(shop):
    shop.day()
    run, log = shop.new_run(), write_rows(shop.folder / "next.parquet", ROWS)
    facts = {"engagements": log, "image_root": str(shop.image_root), "date": DATE, "columns": {}}
    code = f"""if True:
        import sys
        from pathlib import Path
        from pipelines import daily
        print(daily.evaluate.evaluate_or_reuse(*map(Path, {[str(run), str(shop.model), str(shop.run)]}), **{facts})[1])
        print(*{{"scipy", "sklearn", "torchvision"}} & sys.modules.keys())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["True"], "")


def test_a_killed_run_goes_on_with_its_own_query_pictures(shop):
    first, _ = shop.day()
    run, shop.run = shop.run, None
    assert shop.day(run=run) == (first, False)
    assert shop.loads["read_picture_file"] == shop.loads["ImageEncoder"] == 0


def test_judgements_count_queries_without_a_known_token(shop):
    judged = [
        {"surface": "search", "query": query, "item_id": IDS[n], "grade": float(n % 3)}
        for query in ("red lamp", "xylophone")
        for n in range(6)
    ]
    path = shop.folder / "judgements.parquet"
    pq.write_table(pa.Table.from_pylist(judged, schema=JUDGEMENTS), path)
    report = evaluate_judgements(EvaluatedRun(shop.new_run(), shop.model), str(path), date=None, columns={})
    assert report["rows"]["queries_without_known_token"] == 1
    assert report["tasks"][0]["queries"] == 2
    assert read_json(shop.model / "manifest.json")["model_id"] == report["model_id"]


QUERY_ROW = st.fixed_dictionaries(
    {
        "timestamp": st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC)),
        "surface": st.sampled_from(["search", "closeup"]),
        "query": st.text(max_size=3),
        "item_id": st.text(min_size=1, max_size=2),
        "action": st.sampled_from(["click", "save"]),
    }
)


@given(st.lists(QUERY_ROW, max_size=12), st.randoms(use_true_random=False))
def test_rows_hash_sees_the_bag_of_rows_alone(rows, random):
    shuffled = random.sample(rows, len(rows))
    cut = random.randint(0, len(rows))
    parts = [pa.Table.from_pylist(part, schema=QUERY_ROWS) for part in (shuffled[:cut], shuffled[cut:])]
    expected = rows_hash(pa.Table.from_pylist(rows, schema=QUERY_ROWS))
    assert rows_hash(pa.concat_tables(parts)) == expected
    assert rows_hash(parts[0]) != expected or cut == len(rows)
    changed = [{**each, "query": each["query"] + "x"} for each in rows]
    assert rows_hash(pa.Table.from_pylist(changed, schema=QUERY_ROWS)) != expected or not rows


@given(st.sets(st.text(max_size=4), min_size=1, max_size=40), st.text(max_size=4), st.integers(1, 20))
def test_a_new_query_displaces_at_most_one_of_the_sample(queries, new, max_queries):
    before, after = sample_queries(queries, max_queries), sample_queries(queries | {new}, max_queries)
    assert len(before) == min(len(queries), max_queries)
    assert list(before) == sorted(before)
    assert len(set(before) - set(after)) <= 1
    assert set(after) - set(before) <= {new}
