"""The pairs of a query_item split: near-duplicates on one side, nothing of a held-out item trains."""

import datetime as dt
import doctest
import hashlib
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from at_once import THREADED_WORKERS
from pairs_runs import ITEM_IDS, START, WITHOUT_FEATURES, make_run, read_pairs, run_pairs, write_log
from PIL import Image

from model.pictures.looks import picture_look
from model.split.held_out import fit_held_out, item_node, picture_mark, query_node, session_mark, text_mark
from model.split.near_groups import LOOKS, MARKS, NODES
from model.split.split import Split
from model.split.split_labels import assign
from pipelines.console.jobs import beam_options
from pipelines.log.training_rows import SESSION_ROWS
from pipelines.pairs import job as pairs
from pipelines.pairs.count_pairs import without_told
from pipelines.pairs.distinct_pairs import query_id
from schemas.tables import PSEUDO_TASK, TEXT_FIELDS

pytestmark = pytest.mark.slow

GOOD_ITEMS = [item_id for item_id in ITEM_IDS if item_id not in WITHOUT_FEATURES]
#: Items whose texts are equal after normalisation.
TWINS = {"item-0": "Twin SHOE", "item-1": "twin  shoe"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """p<number>.png, all different; p0-copy.jpg and p3-copy.jpg, small copies."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
        picture = Image.fromarray(pixels).resize((160, 120), Image.Resampling.BICUBIC)
        picture.save(root / f"p{number}.png")
        if number in (0, 3):
            picture.resize((120, 90)).save(root / f"p{number}-copy.jpg", quality=80)
    (root / "p4-again.png").write_bytes((root / "p4.png").read_bytes())
    return root


def make_rows(seed: int, num_rows: int, with_pictures: bool) -> list[dict]:
    """Clicks by text and by photo, a third of them without session, others in sessions of a few rows."""
    draw = random.Random(seed)
    words = ["red", "blue", "green", "wool", "dress", "shoe", "hat", "scarf"]
    photo_names = [f"p{number}.png" for number in range(10, 24)] + [
        "p0-copy.jpg",
        "p3.png",
        "p3-copy.jpg",
        "p4-again.png",
    ]
    rows = []
    for number in range(num_rows):
        surface = draw.choice(["search", "closeup"]) if with_pictures else "search"
        text = " ".join(draw.sample(words, 2))
        query = draw.choice([text, text.upper(), f"{text}!"]) if surface == "search" else draw.choice(photo_names)
        rows.append(
            {
                "timestamp": START + dt.timedelta(minutes=number),
                "user_id": None,
                "session_id": draw.choice([None, f"s{number // 4}", f"s{number // 4}"]),
                "surface": surface,
                "query": query,
                "item_id": draw.choice(GOOD_ITEMS),
                "action": draw.choice(["click", "save"]),
            }
        )
    return rows


def expected_split(rows: list[dict], split: Split, photos: Path, with_pictures: bool) -> Split:
    """The split's table, straight from the rows and the items of make_run."""
    nodes, marks, looks = {}, [], []

    def add_picture(node: int, name: str) -> None:
        data = (photos / name).read_bytes()
        marks.append((node, picture_mark(hashlib.sha256(data).digest()), True))
        looks.append((node, picture_look(data)))

    for number, item_id in enumerate(ITEM_IDS):
        if item_id in WITHOUT_FEATURES:
            continue
        nodes[item_node(item_id)] = (True, 0, 0)
        title = TWINS.get(item_id, f"different {number}")
        marks.append((item_node(item_id), text_mark({**dict.fromkeys(TEXT_FIELDS), "title": title}), False))
        if with_pictures and number < 5:
            add_picture(item_node(item_id), f"p{number}.png")
    sessions = defaultdict(set)
    for row in rows:
        node = query_node(row["surface"], row["query"])
        sessions[node].add(session_mark(row["session_id"]))
        nodes[node] = (False, min(sessions[node]), max(sessions[node]))
        if row["surface"] == "closeup":
            add_picture(node, row["query"])

    def table(rows: list[tuple], schema: pa.Schema) -> pa.Table:
        return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)

    described = [(node, *values) for node, values in nodes.items()]
    fitted, _ = fit_held_out(
        table(described, NODES), table(marks, MARKS), table(looks, LOOKS), split.shares, split.seed
    )
    return split.with_table(fitted)


def prepared(folder: Path, photos: Path, encoder_folder: Path | None, num_buckets: int = 3) -> Path:
    pictures = {f"item-{number}": [photos / f"p{number}.png"] for number in range(5)} if encoder_folder else {}
    return make_run(folder, num_buckets, encoder_folder, pictures, TWINS)


@pytest.mark.parametrize("with_pictures", [False, True])
def test_the_job_is_the_direct_computation(tmp_path, encoder_folder, photos, capsys, with_pictures):
    run = prepared(tmp_path / "run", photos, encoder_folder if with_pictures else None)
    rows = make_rows(1, 1500, with_pictures)
    log = str(write_log(tmp_path / "log.parquet", rows))
    manifest = run_pairs(run, engagements=log, image_root=str(photos), pseudo_queries=3, item_test_fraction=0.1)
    split = Split.load(run / "pairs")
    assert (split.kind, split.item_test_fraction, split.item_validation_fraction) == ("query_item", 0.1, 0.05)
    expected = expected_split(rows, split, photos, with_pictures)
    assert split.held_out.equals(expected.held_out)
    assert manifest["counts"]["split_items"] == len(GOOD_ITEMS)
    assert manifest["counts"]["split_pictures_unread"] == 0
    assert f"pairs: {len(GOOD_ITEMS)} items and " in capsys.readouterr().out

    parts = assign(expected, pa.Table.from_pylist(rows, schema=SESSION_ROWS)).to_pylist()
    rank = {"train": 0, "validation": 1, "test": 2}
    hardest: dict[tuple, int] = defaultdict(int)
    for row, part in zip(rows, parts, strict=True):
        if row["session_id"] is not None:
            visit = row["session_id"], row["item_id"]
            hardest[visit] = max(hardest[visit], rank[part])
    wanted = defaultdict(set)
    for row, part in zip(rows, parts, strict=True):
        if rank[part] >= hardest.get((row["session_id"], row["item_id"]), 0):
            wanted[part].add((row["surface"], query_id(row["surface"], row["query"]), row["item_id"]))
    got = read_pairs(run)
    counts = manifest["counts"]
    assert counts["rows_gap"] > 0
    assert counts["rows_gap"] + sum(counts[f"rows_{part}"] for part in rank) == len(rows)
    for part in rank:
        assert len(wanted[part]) > 20
        assert {
            (pair.task.split("/")[0], pair.query_id, pair.item_id) for pair in got[part] if pair.task != PSEUDO_TASK
        } == wanted[part]


def test_nothing_of_a_held_out_item_or_query_trains(tmp_path, photos):
    run = prepared(tmp_path / "run", photos, None)
    rows = make_rows(2, 1500, with_pictures=False)
    run_pairs(run, engagements=str(write_log(tmp_path / "log.parquet", rows)), pseudo_queries=8)
    split = Split.load(run / "pairs")
    part_of = dict(zip(*split.held_out.select(["node", "part"]).to_pydict().values(), strict=True))
    pairs_of = read_pairs(run)
    items = {part: {i for i in GOOD_ITEMS if part_of[item_node(i)] == part} for part in ("validation", "test")}
    assert min(map(len, items.values())) >= 1
    assert not items["validation"] & {pair.item_id for pair in pairs_of["train"]}
    assert not items["test"] & {pair.item_id for pair in [*pairs_of["train"], *pairs_of["validation"]]}
    for part in ("validation", "test"):  # an item that is new has text: its pseudo-queries are there, in its part
        assert items[part] <= {pair.item_id for pair in pairs_of[part] if pair.task == PSEUDO_TASK}
    held_out = {
        query_id("search", row["query"]) for row in rows if part_of[query_node("search", row["query"])] != "train"
    }
    assert held_out
    assert not held_out & {pair.query_id for pair in pairs_of["train"]}


def test_twins_and_copies_lie_on_one_side(tmp_path, encoder_folder, photos):
    run = prepared(tmp_path / "run", photos, encoder_folder)
    rows = make_rows(3, 800, with_pictures=True)
    log = str(write_log(tmp_path / "log.parquet", rows))
    for seed in range(2):
        manifest = run_pairs(run, engagements=log, image_root=str(photos), seed=seed, item_test_fraction=0.4)
        held_out = Split.load(run / "pairs").held_out
        part_of = dict(zip(held_out["node"].to_pylist(), held_out["part"].to_pylist(), strict=True))
        closeup = {
            name: part_of[query_node("closeup", name)]
            for name in ("p0-copy.jpg", "p3.png", "p3-copy.jpg", "p4-again.png")
        }
        item = [part_of[item_node(f"item-{number}")] for number in range(5)]
        assert item[0] == item[1] == closeup["p0-copy.jpg"]
        assert item[3] == closeup["p3.png"] == closeup["p3-copy.jpg"]
        assert item[4] == closeup["p4-again.png"]
        assert manifest["counts"]["split_groups"] >= 3


def test_pictures_that_cannot_be_read_cost_only_their_looks(tmp_path, encoder_folder, photos):
    run = prepared(tmp_path / "run", photos, encoder_folder)
    rows = make_rows(4, 400, with_pictures=True)
    for number in range(0, 400, 9):
        rows[number] |= {"surface": "closeup", "query": "missing.png"}
    manifest = run_pairs(run, engagements=str(write_log(tmp_path / "log.parquet", rows)), image_root=str(photos))
    assert manifest["counts"]["split_pictures_unread"] == 1
    assert manifest["counts"]["rows_query_picture_broken"] > 0


def test_bytes_do_not_depend_on_order_or_workers(tmp_path, encoder_folder, photos):
    rows = make_rows(5, 600, with_pictures=True)
    written = []
    for name, options in (("one", []), ("threads", THREADED_WORKERS)):
        run = prepared(tmp_path / name, photos, encoder_folder, num_buckets=4)
        log = write_log(tmp_path / f"{name}.parquet", rows)
        config = pairs.PairsConfig(
            run=str(run), engagements=str(log), image_root=str(photos), device="cpu", pseudo_queries=2
        )
        pairs.run(config, beam_options(options))
        written.append({p.relative_to(run): p.read_bytes() for p in (run / "pairs").rglob("*") if p.is_file()})
        random.Random(0).shuffle(rows)
    assert written[0].keys() == written[1].keys()
    assert all(written[0][path] == content for path, content in written[1].items())
    assert Path("pairs/split.parquet") in written[0]


def test_the_examples_are_right():
    assert doctest.testmod(pairs).failed == 0


def test_rows_that_a_held_out_session_tells_are_left_out():
    rows = [("s", "a"), ("s", "a"), ("s", "b"), ("t", "a"), (None, "a"), (None, "a"), ("t", "b"), ("t", "b")]
    table = pa.Table.from_pylist(
        [
            {"timestamp": START, "surface": "search", "query": "q", "item_id": item, "action": "click", "session_id": s}
            for s, item in rows
        ],
        schema=SESSION_ROWS,
    )
    parts = ["test", "train", "train", "train", "test", "train", "validation", "train"]
    expected = ["test", "gap", "train", "train", "test", "train", "validation", "gap"]
    assert without_told(pa.array(parts), table).to_pylist() == expected
    assert without_told(pa.array(parts)[:0], table[:0]).to_pylist() == []
