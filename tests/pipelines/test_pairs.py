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
import torch
from PIL import Image

from model.image_encoder import load_image_encoder, open_image_encoder, save_image_encoder
from model.pseudo_queries import pseudo_queries
from model.split import Split, assign
from model.vocabulary import TokenCounts, Vocabulary
from pipelines import pairs
from pipelines.jobs import beam_options
from pipelines.transforms.cap_pairs import cap_pairs
from pipelines.transforms.count_pairs import PAIRS, query_id
from pipelines.units import Unit, UnitWriter, bucket_name, write_stage_manifest
from schemas.errors import ThresholdError, UsageError
from schemas.hashing import bucket_of
from schemas.records import ItemFeatures, decode_pair, encode_features, read_records, write_records
from schemas.tables import ENGAGEMENTS, ITEMS, PSEUDO_TASK, TEXT_FIELDS

START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
ITEM_IDS = [f"item-{number}" for number in range(30)]
WITHOUT_FEATURES = {"item-28", "item-29"}
TEXTS = ["red shoe", "Blue DRESS", "green hat", "wool scarf", "shoe", "dress for a party", "qqq"]


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory) -> Path:
    """A real squeezenet with random weights, saved."""
    from torchvision.models import squeezenet1_0

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    torch.save(squeezenet1_0(weights=None).state_dict(), folder / "weights.pth")
    encoder = load_image_encoder(
        "squeezenet1_0", str(folder / "weights.pth"), "IMAGENET1K_V1", device="cpu", dtype="float32"
    )
    save_image_encoder(encoder, folder / "saved")
    return folder / "saved"


@pytest.fixture(scope="session")
def image_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("images")
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"photo-{number}.png")
    (root / "broken.png").write_bytes((root / "photo-0.png").read_bytes()[:100])
    return root


def make_run(folder: Path, num_buckets: int, encoder_folder: Path | None = None) -> Path:
    """A run folder with finished items, vocabulary and features stages."""
    counts = TokenCounts()
    for text in TEXTS[:-1]:
        counts.add_text(f"acme {text}")
    Vocabulary.from_counts(counts.table()).save(folder / "vocabulary")
    vocabulary = Vocabulary.load(folder / "vocabulary")
    facts = {"image_encoder_id": None, "picture_dim": 0, "vocabulary_id": vocabulary.id}
    if encoder_folder is not None:
        (folder / "image_encoder").symlink_to(encoder_folder)
        encoder = open_image_encoder(encoder_folder, device="cpu")
        facts |= {"image_encoder_id": encoder.network_id, "picture_dim": encoder.dim}
    rows = []
    for number, item_id in enumerate(ITEM_IDS):
        text = {"title": f"Acme {TEXTS[number % 6]} {number}", "brand": "Acme"}
        rows.append({"item_id": item_id, **dict.fromkeys(TEXT_FIELDS), **text, "images": []})
    names = [bucket_name(bucket, num_buckets) for bucket in range(num_buckets)]
    for bucket, name in enumerate(names):
        mine = [row for row in rows if bucket_of(row["item_id"], num_buckets) == bucket]
        with UnitWriter(str(folder), Unit("items", name, "x")).file(f"items/{name}.parquet") as temporary:
            pq.write_table(pa.Table.from_pylist(mine, schema=ITEMS), temporary)
        UnitWriter(str(folder), Unit("items", name, "x")).seal()
        writer = UnitWriter(str(folder), Unit("features", name, "x"))
        with writer.file(f"features/{name}.tfrecord") as temporary:
            write_records(
                temporary,
                (
                    encode_features(
                        ItemFeatures(
                            item_id=row["item_id"],
                            token_ids=vocabulary.encode_item(row)[0],
                            token_offsets=vocabulary.encode_item(row)[1],
                            pictures=np.zeros((0, facts["picture_dim"]), np.float16),
                        )
                    )
                    for row in sorted(mine, key=lambda row: row["item_id"])
                    if row["item_id"] not in WITHOUT_FEATURES
                ),
            )
        writer.seal()
    write_stage_manifest(str(folder), "items", names, num_buckets=num_buckets)
    write_stage_manifest(str(folder), "features", names, **facts)
    return folder


def make_log(seed: int, num_rows: int, with_pictures: bool) -> list[dict]:
    """A random log with every kind of row that the stage leaves out; popularity is skewed."""
    draw = random.Random(seed)
    rows = []
    for _ in range(num_rows):
        surface = draw.choice(
            ["search", "search", "closeup", "closeup", "home"] if with_pictures else ["search", "home"]
        )
        query = {"search": draw.choice(TEXTS), "closeup": f"photo-{draw.randrange(6)}.png", "home": None}[surface]
        if surface == "closeup" and draw.random() < 0.1:
            query = draw.choice(["broken.png", "missing.png", "../outside.png"])
        rows.append(
            {
                "timestamp": START + dt.timedelta(minutes=draw.randrange(40 * 24 * 60)),
                "user_id": None,
                "session_id": None,
                "surface": surface,
                "query": query,
                "item_id": draw.choice([*ITEM_IDS, "unknown"]) if draw.random() < 0.5 else "item-3",
                "action": draw.choice(["impression", "click", "click", "save", "checkout", "return"]),
            }
        )
    return rows


def write_log(path: Path, rows: list[dict]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), path, row_group_size=100)
    return path


def read_pairs(run: Path) -> dict[str, list]:
    """Pairs by part, in the order of files and records, checked to be sorted within a file."""
    found: dict[str, list] = {}
    for part in ("train", "validation", "test"):
        found[part] = []
        for path in sorted((run / "pairs" / part).glob("*.tfrecord")):
            records = [decode_pair(payload) for payload in read_records(path)]
            keys = [(pair.task, pair.query_id, pair.item_id) for pair in records]
            assert keys == sorted(set(keys))
            found[part] += records
    return found


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


def run_pairs(run: Path, **keywords) -> dict:
    return pairs.run(pairs.PairsConfig(run=str(run), device="cpu", **keywords), beam_options([]))


def tree(folder: Path) -> dict[str, str]:
    """sha256 of every file of a folder, by name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("kind", "num_buckets", "with_pictures"),
    [("time", 1, False), ("item_time", 5, True), ("query_hash", 3, False), ("time", 4, True)],
)
def test_pairs_equal_a_naive_computation(tmp_path, encoder_folder, image_root, kind, num_buckets, with_pictures):
    run = make_run(tmp_path / "run", num_buckets, encoder_folder if with_pictures else None)
    rows = make_log(num_buckets, 1500, with_pictures)
    log = write_log(tmp_path / "log.parquet", rows)
    manifest = run_pairs(
        run, engagements=str(log), date="2024-04-04", image_root=str(image_root), split=kind, test_fraction=0.3
    )
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
    run_pairs(run, engagements=str(log), test_days=8.0, gap_days=3.0, validation_days=5.0)
    split = Split.load(run / "pairs")
    assert (split.test_start_us - split.gap_start_us) / 86_400_000_000 == 3
    assert (split.gap_start_us - split.validation_start_us) / 86_400_000_000 == 5
    again = make_run(tmp_path / "again", 2)
    run_pairs(again, engagements=str(log), test_days=0.0, validation_days=5.0)
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
    manifest = run_pairs(run, engagements=str(tmp_path / "log.jsonl"), columns=columns)
    assert (manifest["counts"]["rows_read"], manifest["counts"]["rows_quarantined"]) == (301, 6)
    assert manifest["counts"]["reason:unknown_action"] == 5
    rows = pa.concat_tables(map(pq.read_table, (run / "quarantine").glob("pairs-*.parquet"))).to_pylist()
    assert Counter(row["reason"] for row in rows) == {"unknown_action": 5, "broken_line": 1}


def test_pseudo_queries_alone_and_beside_a_log(tmp_path):
    run = make_run(tmp_path / "run", 2)
    manifest = run_pairs(run, pseudo_queries=6, seed=7)
    got = read_pairs(run)
    assert Split.load(run / "pairs").kind == "none"
    assert got["test"] == []
    assert {pair.task for part in got.values() for pair in part} == {PSEUDO_TASK}
    queries = {pair.query_id for pair in got["train"]}
    assert not queries & {pair.query_id for pair in got["validation"]}
    title = {"item_id": "item-4", "title": f"Acme {TEXTS[4]} 4", "brand": "Acme"}
    expected = {query_id("search", query) for query in pseudo_queries({**dict.fromkeys(TEXT_FIELDS), **title}, 6, 7)}
    assert {pair.query_id for part in got.values() for pair in part if pair.item_id == "item-4"} == expected
    assert manifest["counts"]["pseudo_pairs"] == len(got["train"]) + len(got["validation"])
    by_query = Counter(pair.query_id for pair in got["train"])
    assert all(pair.query_count == by_query[pair.query_id] and pair.query_item_count == 1 for pair in got["train"])
    assert max(by_query.values()) > 1

    both = make_run(tmp_path / "both", 2)
    log = write_log(tmp_path / "log.parquet", make_log(3, 400, with_pictures=False))
    tasks = Counter(
        pair.task for pair in read_pairs_after(both, engagements=str(log), pseudo_queries=6, seed=7)["train"]
    )
    assert tasks[PSEUDO_TASK] == len(got["train"])
    assert tasks["search/click"] > 0


def read_pairs_after(run: Path, **keywords) -> dict[str, list]:
    run_pairs(run, **keywords)
    return read_pairs(run)


def test_sketched_frequencies_are_near_the_exact_ones(tmp_path):
    rows = make_log(6, 1500, with_pictures=False)
    log = str(write_log(tmp_path / "log.parquet", rows))
    exact = read_pairs_after(make_run(tmp_path / "exact", 3), engagements=log)
    sketched = read_pairs_after(make_run(tmp_path / "sketch", 3), engagements=log, frequencies="sketch")
    for part, records in exact.items():
        assert len(records) == len(sketched[part]) > 0
        for one, other in zip(records, sketched[part], strict=True):
            assert (one.task, one.query_id, one.item_id, one.count) == (
                other.task,
                other.query_id,
                other.item_id,
                other.count,
            )
            assert one.query_count <= other.query_count <= one.query_count + 5
            assert one.query_item_count <= other.query_item_count <= one.query_item_count + 5
    tables = [
        pq.read_table(tmp_path / name / "pairs" / "item_counts.parquet").to_pydict() for name in ("exact", "sketch")
    ]
    assert tables[0]["item_id"] == tables[1]["item_id"]
    assert np.abs(np.subtract(tables[0]["count"], tables[1]["count"])).max() <= 5


def test_the_cap_lets_tasks_take_turns():
    rows = [
        {"task": task, "query": f"q{n}", "query_id": n, "item_id": item, "part": "train", "count": 1}
        for item in ("a", "b")
        for task, number in (("search/click", 50), ("search/save", 8), ("search/checkout", 2))
        for n in range(number)
    ]
    rows += [{**rows[0], "part": "test"}, {**rows[0], "task": PSEUDO_TASK}]
    table = pa.Table.from_pylist(rows, schema=PAIRS)
    capped = cap_pairs(table, 12, seed=0)
    found = Counter((row["item_id"], row["task"]) for row in capped.to_pylist() if row["part"] == "train")
    assert found[("a", PSEUDO_TASK)] == 1
    for item in ("a", "b"):  # two turns of all three tasks, then two tasks share the rest
        assert (found[item, "search/checkout"], found[item, "search/save"], found[item, "search/click"]) == (2, 5, 5)
    assert "test" in capped.column("part").to_pylist()
    shuffled = table.take(random.Random(0).sample(range(len(rows)), len(rows)))
    assert sorted(map(str, cap_pairs(shuffled, 12, seed=0).to_pylist())) == sorted(map(str, capped.to_pylist()))
    assert cap_pairs(table, 12, seed=1) != capped
    assert cap_pairs(table, 0, seed=0) is table


def test_the_cap_counts_what_it_leaves_out(tmp_path):
    log = str(write_log(tmp_path / "log.parquet", make_log(6, 1500, with_pictures=False)))
    free = read_pairs_after(make_run(tmp_path / "free", 2), engagements=log)
    run = make_run(tmp_path / "capped", 2)
    manifest = run_pairs(run, engagements=log, max_pairs_per_item=4)
    capped = read_pairs(run)
    assert max(Counter(pair.item_id for pair in capped["train"]).values()) == 4
    assert len(capped["test"]) == len(free["test"])
    counts = manifest["counts"]
    assert counts["rows_capped"] == sum(p.count for p in free["train"]) - sum(p.count for p in capped["train"]) > 0


def test_an_empty_part_is_an_error_and_no_pairs_are_published(tmp_path, capsys):
    run = make_run(tmp_path / "run", 2)
    log = str(write_log(tmp_path / "log.parquet", make_log(2, 200, with_pictures=False)))
    with pytest.raises(ThresholdError, match=r"none in train .*--test-days"):
        run_pairs(run, engagements=log, test_days=90.0)
    assert not (run / "manifests" / "pairs.json").exists()
    assert pairs.main(["--run", str(run), "--engagements", log, "--test-days", "90"]) == 3
    assert "none in train" in capsys.readouterr().err
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
