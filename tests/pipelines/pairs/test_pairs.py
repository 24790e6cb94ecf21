"""The pairs job: equal to a naive computation, whatever the bucketing, the files and the order of rows."""

import datetime as dt
import hashlib
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exploration import soak
from pairs_runs import (
    ITEM_IDS,
    TEXTS,
    WITHOUT_FEATURES,
    make_log,
    make_run,
    read_pairs,
    read_pairs_after,
    run_pairs,
    write_log,
)

from model.pictures.image_encoder import open_image_encoder
from model.split.split import Split
from model.split.split_labels import assign
from model.text.vocabulary import Vocabulary
from pipelines.pairs import job as pairs
from pipelines.pairs.distinct_pairs import query_id
from pipelines.run.units import read_stage_manifest
from schemas.errors import ThresholdError, UsageError
from schemas.files import write_sealed_json
from schemas.tables import ENGAGEMENTS

pytestmark = pytest.mark.slow


def naive_pairs(rows: list[dict], split: Split, end: dt.datetime, usable: set[str]) -> dict[str, dict]:
    """{part: {(task, query, item): (count, C(q, p), C(q))}} by dictionaries alone."""
    rows = [
        row
        for row in rows
        if row["timestamp"] < end
        and row["surface"] != "home"
        and row["action"] in ("click", "save", "add_to_cart", "checkout")
        and row["item_id"] in set(ITEM_IDS) - WITHOUT_FEATURES
        and row["query"] in usable
    ]
    parts = assign(split, pa.Table.from_pylist(rows, schema=ENGAGEMENTS)).to_pylist()
    counts: dict[str, Counter] = {"train": Counter(), "validation": Counter(), "test": Counter()}
    query_items, queries = Counter(), Counter()
    for row, part in zip(rows, parts, strict=True):
        if part == "gap":
            continue
        counts[part][f"{row['surface']}/{row['action']}", row["query"], row["item_id"]] += 1
        if part == "train":
            query_items[row["query"], row["item_id"]] += 1
            queries[row["query"]] += 1
    return {
        part: {
            (task, query, item): (count, query_items[query, item], queries[query])
            for (task, query, item), count in counter.items()
        }
        for part, counter in counts.items()
    }


def tree(folder: Path) -> dict[str, str]:
    """sha256 of every file of a folder, by name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("kind", "num_buckets", "with_pictures"),
    [
        ("query_item", 2, False),
        ("item_time", 5, True),
        ("query_hash", 1, False),
        ("time", 4, True),
        *soak(("time", 1, False), ("query_item", 3, True), ("query_hash", 3, False)),
    ],
)
def test_pairs_equal_a_naive_computation(tmp_path, encoder_folder, image_root, kind, num_buckets, with_pictures):
    run = make_run(tmp_path / "run", num_buckets, encoder_folder if with_pictures else None)
    rows = make_log(num_buckets, 1500, with_pictures)
    log = write_log(tmp_path / "log.parquet", rows)
    given = {"engagements": str(log), "date": "2024-04-04", "image_root": str(image_root)}
    manifest = run_pairs(run, **given, split=kind, test_fraction=0.3, seed=1)  # of a few queries some in each part
    split = Split.load(run / "pairs")
    vectors, vocabulary = {}, Vocabulary.load(run / "vocabulary")
    if with_pictures:
        encoder = open_image_encoder(encoder_folder, device="cpu")
        uris = [f"photo-{number}.png" for number in range(6)]
        vectors = dict(encoder.encode_stream((uri, (image_root / uri).read_bytes()) for uri in uris))
    end = dt.datetime(2024, 4, 5, tzinfo=dt.UTC)
    expected = naive_pairs(rows, split, end, {*vectors, *TEXTS[:-1]})

    got = read_pairs(run)
    names = {query_id("search", text): text for text in TEXTS} | {query_id("closeup", uri): uri for uri in vectors}
    for part, records in got.items():
        assert {
            (pair.task, names[pair.query_id], pair.item_id): (pair.count, pair.query_item_count, pair.query_count)
            for pair in records
        } == expected[part]
        assert len(records) == len(expected[part]) > 10
        for pair in records:
            query = names[pair.query_id]
            if pair.task.startswith("search/"):
                np.testing.assert_array_equal(pair.query_token_ids, vocabulary.encode(query))
                assert len(pair.query_picture) == 0
            else:
                np.testing.assert_array_equal(pair.query_picture, vectors[query])
                assert len(pair.query_token_ids) == 0
        for task, count in Counter(pair.task for pair in records).items():
            assert manifest["counts"][f"pairs:{part}:{task}"] == count

    item_counts = Counter()
    for (_, _, item), (count, _, _) in expected["train"].items():
        item_counts[item] += count
    assert pq.read_table(run / "pairs" / "item_counts.parquet").to_pylist() == [
        {"item_id": item, "count": float(count)} for item, count in sorted(item_counts.items())
    ]
    counts = manifest["counts"]
    assert counts["rows_query_without_tokens"] > 0
    left_out = ["rows_after_date", "rows_without_task", "rows_item_unknown", "rows_gap", "rows_query_picture_broken"]
    left_out += ["rows_query_without_tokens", "rows_without_picture_encoder", "rows_capped"]
    written = ["rows_train", "rows_validation", "rows_test"]
    assert counts["rows_read"] == len(rows) == sum(counts.get(name, 0) for name in left_out + written)
    assert counts["rows_after_date"] == sum(row["timestamp"] >= end for row in rows) > 0
    if with_pictures:
        assert (counts["query_pictures_computed"], counts["query_pictures_quarantined"]) == (6, 3)
        quarantined = pa.concat_tables(map(pq.read_table, (run / "quarantine").glob("*.parquet"))).to_pylist()
        assert {(row["level"], row["reason"]) for row in quarantined} == {
            ("picture", "truncated"),
            ("picture", "missing"),
            ("picture", "outside_root"),
        }
        assert any("broken.png" in row["where"] for row in quarantined)


def test_parts_of_a_time_split_lie_apart_in_time(tmp_path):
    run = make_run(tmp_path / "run", 2)
    rows = make_log(1, 800, with_pictures=False)
    log = write_log(tmp_path / "log.parquet", rows)
    run_pairs(run, engagements=str(log), split="time", test_days=8.0, gap_days=3.0, validation_days=5.0)
    split = Split.load(run / "pairs")
    assert (split.test_start_us - split.gap_start_us) / 86_400_000_000 == 3
    assert (split.gap_start_us - split.validation_start_us) / 86_400_000_000 == 5
    again = make_run(tmp_path / "again", 2)
    run_pairs(again, engagements=str(log), split="time", test_days=0.0, validation_days=5.0)
    assert read_pairs(again)["test"] == []
    assert len(read_pairs(again)["train"]) > len(read_pairs(run)["train"])


def test_bytes_do_not_depend_on_the_order_or_the_files_of_the_log(tmp_path, encoder_folder, image_root):
    rows = make_log(5, 600, with_pictures=True)
    results = []
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "log").mkdir(parents=True)
        if name == "one":
            write_log(folder / "log" / "a.parquet", rows)
        else:
            random.Random(1).shuffle(rows)
            write_log(folder / "log" / "a.parquet", rows[:150])
            lines = [json.dumps({**row, "timestamp": row["timestamp"].isoformat()}) for row in rows[150:]]
            (folder / "log" / "b.jsonl").write_text("\n".join(lines))
        run = make_run(folder / "run", 3, encoder_folder)
        run_pairs(run, engagements=str(folder / "log"), image_root=str(image_root), split="item_time", pseudo_queries=2)
        results.append(tree(run / "pairs"))
    assert results[0] == results[1]
    assert len(results[0]) > 10


def test_a_finished_stage_is_skipped_and_a_cut_one_resumed(tmp_path, capsys):
    run = make_run(tmp_path / "run", 3)
    log = str(write_log(tmp_path / "log.parquet", make_log(2, 500, with_pictures=False)))
    first = run_pairs(run, engagements=log)
    before = tree(run / "pairs")
    times = {path: (run / "pairs" / path).stat().st_mtime_ns for path in before}
    assert run_pairs(run, engagements=log) == first
    assert "reused 1" in capsys.readouterr().out
    (run / "manifests" / "pairs.json").unlink()
    lost = next(path for path in before if path.startswith("train/"))
    (run / "pairs" / lost).unlink()
    assert run_pairs(run, engagements=log) == first
    assert tree(run / "pairs") == before
    kept = [path for path in before if path.startswith("train/") and path != lost]
    assert kept
    assert all((run / "pairs" / path).stat().st_mtime_ns == times[path] for path in kept)
    run_pairs(run, engagements=log, test_fraction=0.0)  # other flags: nothing of the earlier call stays
    assert not list((run / "pairs" / "test").glob("*"))


def test_a_log_of_fewer_files_leaves_nothing_of_the_others(tmp_path):
    run = make_run(tmp_path / "run", 3)
    rows = make_log(2, 500, with_pictures=False)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_log(tmp_path / name / "1.parquet", rows)
    (tmp_path / "a" / "2.jsonl").write_text("{broken")
    run_pairs(run, engagements=str(tmp_path / "a"))
    assert list((run / "quarantine").iterdir())
    manifest = run_pairs(run, engagements=str(tmp_path / "b"))
    assert {path.stem for path in (run / "units" / "pairs").iterdir()} == manifest["units"].keys()
    assert not list((run / "quarantine").iterdir())


def test_rejected_rows_are_quarantined(tmp_path):
    run = make_run(tmp_path / "run", 2)
    lines = [
        json.dumps(
            {"when": f"2024-01-{day:02d}T00:00:00Z", "surface": "search", "query": "shoe", "item_id": item} | kind
        )
        for day in range(1, 31)
        for item in ITEM_IDS[:5]
        for kind in ({"action": "click"}, {"action": "click" if day > 1 else "stare"})
    ]
    (tmp_path / "log.jsonl").write_text("\n".join([*lines, "{broken"]))
    columns = {"engagements": {"timestamp": "when"}}
    manifest = run_pairs(run, engagements=str(tmp_path / "log.jsonl"), columns=columns, split="time")
    assert (manifest["counts"]["rows_read"], manifest["counts"]["rows_quarantined"]) == (301, 6)
    assert read_stage_manifest(str(run), "log")["counts"]["reason:unknown_action"] == 5
    rows = pa.concat_tables(map(pq.read_table, (run / "quarantine").glob("log-*.parquet"))).to_pylist()
    assert Counter(row["reason"] for row in rows) == {"unknown_action": 5, "cut_off_file": 1}


def test_the_caps_of_the_features_hold_for_query_pictures(tmp_path, encoder_folder, image_root):
    log = write_log(tmp_path / "log.parquet", make_log(3, 400, True))
    tasks = {}
    for cap in (64 * 64, 64 * 64 - 1):
        run = make_run(tmp_path / str(cap), 2, encoder_folder)
        features = read_stage_manifest(str(run), "features")
        write_sealed_json(run / "manifests" / "features.json", {**features, "max_picture_pixels": cap})
        pairs_of = read_pairs_after(run, engagements=str(log), image_root=str(image_root), split="query_hash")
        tasks[cap] = {pair.task for pair in pairs_of["train"]}
    assert [task for task in tasks[64 * 64] if "closeup" in task]
    assert not [task for task in tasks[64 * 64 - 1] if "closeup" in task]
    rejected = [row for path in (run / "quarantine").glob("pairs-queries*") for row in pq.read_table(path).to_pylist()]
    assert {row["reason"] for row in rejected if "photo" in row["where"]} == {"too_many_pixels"}


def test_an_empty_part_is_an_error_and_no_pairs_are_published(tmp_path, capsys):
    run = make_run(tmp_path / "run", 2)
    log = str(write_log(tmp_path / "log.parquet", make_log(2, 200, with_pictures=False)))
    with pytest.raises(ThresholdError, match=r"none in train .*--test-days"):
        run_pairs(run, engagements=log, split="time", test_days=90.0)
    assert not (run / "manifests" / "pairs.json").exists()
    assert pairs.main(["--run", str(run), "--engagements", log, "--split", "time", "--test-days", "90"]) == 3
    assert pairs.main(["--run", str(run), "--engagements", log, "--test-days", "90"]) == 2
    assert "none in train" in capsys.readouterr().err
    with pytest.raises(ThresholdError, match=r"none in train .*--test-days"):  # pseudo-queries do not hide it
        run_pairs(run, engagements=log, split="time", test_days=90.0, pseudo_queries=2)
    home = [row for row in make_log(2, 200, with_pictures=False) if row["surface"] == "home"]
    with pytest.raises(ThresholdError, match="got 0 rows"):
        run_pairs(run, engagements=str(write_log(tmp_path / "home.parquet", home)))


def test_wrong_calls_are_refused(tmp_path, encoder_folder):
    run = make_run(tmp_path / "run", 2)
    with pytest.raises(UsageError, match="got neither"):
        run_pairs(run)
    with pytest.raises(UsageError, match="'2024-4'"):
        run_pairs(run, pseudo_queries=1, date="2024-4")
    Vocabulary.hashing(50).save(tmp_path / "other")
    with pytest.raises(UsageError, match="vocabulary_id"):
        run_pairs(run, pseudo_queries=1, vocabulary=str(tmp_path / "other"))
    assert pairs.main(["--run", str(run), "--pseudo-queries", "-1"]) == 2
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="a typo share from 0 to 1"):
            run_pairs(run, pseudo_queries=1, typo_share=share)
