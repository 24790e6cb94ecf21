"""The sample shop as a whole: its files, its bytes, its text gaps, its log, and that its faults are really there."""

import hashlib
import io
import sys
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from schemas.errors import UsageError
from schemas.sample_shop import finished_shop, generate
from schemas.sample_shop.assortment import make_assortment
from schemas.sample_shop.catalogue import make_catalogue, make_query_pictures
from schemas.sample_shop.engagements import make_engagements
from schemas.sample_shop.faults import ENGAGEMENT_FAULTS, EXCESSES, PICTURE_FAULTS, ROW_FAULTS
from schemas.storage import resolve_inside
from schemas.tables import ACTIONS, CATALOGUE, ENGAGEMENTS, MAX_PICTURES, SURFACES, TEXT_FIELDS

pytestmark = pytest.mark.medium

NUM_ITEMS, SEED = 60, 3


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "shop"
    generate(out, NUM_ITEMS, SEED)
    return out


@pytest.fixture(scope="module")
def planted(shop: Path) -> list[dict]:
    return pq.read_table(shop / "planted.parquet").to_pylist()


@pytest.fixture(scope="module")
def rows(shop: Path) -> list[dict]:
    return pq.read_table(shop / "catalog.parquet").to_pylist()


@pytest.fixture(scope="module")
def log() -> pa.Table:
    assortment = make_assortment(600, 1)
    queries, anchors = make_query_pictures(assortment, 1)
    return make_engagements(assortment, [spec.uri for spec in queries], anchors, 1, date(2026, 6, 30))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def row_number(record: dict) -> int:
    return int(record["where"].rsplit(":", 1)[1]) - 1


def test_same_seed_same_bytes_whatever_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("schemas.sample_shop.rendering._MIN_PICTURES_A_WORKER", 10)
    done: list[int] = []
    counts = generate(tmp_path / "a", 20, 5, num_workers=2, on_done=done.append)
    generate(tmp_path / "b", 20, 5, num_workers=1)
    generate(tmp_path / "c", 20, 6, num_workers=1)
    a, b, c = (digests(tmp_path / name) for name in "abc")
    assert a == b
    assert a["engagements.parquet"] != c["engagements.parquet"]
    assert a["catalog.parquet"] != c["catalog.parquet"]
    assert sum(done) == sum(1 for name in a if name.startswith("images/")) - relisted_and_broken(tmp_path / "a")
    assert counts["items"] == 20


def relisted_and_broken(folder: Path) -> int:
    return sum(1 for name in ("relisted", "broken") for _ in (folder / "images" / name).iterdir())


def test_a_shop_is_replaced_and_other_folders_are_refused(tmp_path: Path):
    generate(tmp_path / "shop", 10, 0)
    first = digests(tmp_path / "shop")
    (tmp_path / "shop" / "images" / "stale.jpg").write_bytes(b"old")
    generate(tmp_path / "shop", 10, 0)
    assert digests(tmp_path / "shop") == first
    (tmp_path / "shop" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="empty folder or a sample shop"):
        generate(tmp_path / "shop", 10, 0)
    assert (tmp_path / "shop" / "thesis.txt").exists()
    with pytest.raises(UsageError, match="at least 10 items, got 9"):
        generate(tmp_path / "other", 9)


def test_a_killed_generation_is_no_finished_shop_and_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "shop"
    assert finished_shop(out) is None
    generate(out, 10, 4, end_date=date(2026, 1, 31))
    whole, facts = digests(out), {"items": 10, "seed": 4, "end_date": "2026-01-31"}
    assert finished_shop(out) == facts

    def be_killed(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("render_all", "write_json", "write_text"):  # in the first, a middle and the last thing it writes
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules[generate.__module__], name, be_killed)
            with pytest.raises(KeyboardInterrupt):
                generate(out, 10, 4, end_date=date(2026, 1, 31))
        assert not (out / "README.md").exists()
        assert finished_shop(out) is None
        (out / ".catalog.parquet.0123abcd.tmp").write_bytes(b"as a killed atomic write leaves it")
        generate(out, 10, 4, end_date=date(2026, 1, 31))
        assert digests(out) == whole


def test_facts_of_a_shop_are_read_robustly(tmp_path: Path):
    (tmp_path / "README.md").write_text("# Sample shop: 10 good items, seed 4, engagements of 120 days\n")
    for text in (None, "", "[]", '{"items": 10}', '{"items": "many", "seed": 4, "end_date": "x"}', "\xff"):
        if text is not None:
            (tmp_path / "shop.json").write_text(text, encoding="latin-1")
        assert finished_shop(tmp_path) is None


def test_only_a_marked_folder_is_replaced(tmp_path: Path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="empty folder or a sample shop"):
        generate(tmp_path, 10, 0)
    assert (tmp_path / "images" / "holiday.jpg").exists()


def test_tables_have_the_schemas_and_the_good_items_are_exactly_the_truth(shop: Path, rows: list[dict]):
    catalogue, engagements = (pq.read_table(shop / name) for name in ("catalog.parquet", "engagements.parquet"))
    assert [(f.name, f.type) for f in catalogue.schema] == [(f.name, f.type) for f in CATALOGUE]
    assert [(f.name, f.type) for f in engagements.schema] == [(f.name, f.type) for f in ENGAGEMENTS]
    truth = pq.read_table(shop / "truth.parquet")
    assert truth.num_rows == NUM_ITEMS
    assert set(truth["item_id"].to_pylist()) <= {row["item_id"] for row in rows}
    assert abs(sum(truth["popularity"].to_pylist()) - 1) < 1e-9


def test_every_kind_of_fault_is_planted(planted: list[dict]):
    kinds = {record["kind"] for record in planted}
    assert kinds == {*PICTURE_FAULTS, *ROW_FAULTS, *EXCESSES, *ENGAGEMENT_FAULTS}
    for record in planted:
        assert (record["expected_reason"] is None) == (record["level"] == "none")
        assert (record["uri"] is not None) == (record["level"] == "picture")


def test_planted_pictures_are_broken_as_said_and_their_items_keep_something_good(
    shop: Path, rows: list[dict], planted: list[dict]
):
    for record in (record for record in planted if record["level"] == "picture"):
        row, uri, reason = rows[row_number(record)], record["uri"], record["expected_reason"]
        assert row["item_id"] == record["item_id"]
        assert uri in row["images"]
        path = resolve_inside(shop, uri)
        if reason == "remote_uri":
            assert uri.startswith("https://")
        elif reason == "outside_root":
            assert path is None
        elif reason == "missing":
            assert path is not None
            assert not Path(path).exists()
        else:
            assert path is not None
            assert_unreadable(Path(path).read_bytes(), reason)
        if record["kind"] != "only_broken_picture":
            assert row["title"]


def assert_unreadable(data: bytes, reason: str) -> None:
    if reason == "not_a_picture":
        with pytest.raises(OSError, match="cannot identify"):
            Image.open(io.BytesIO(data))
    elif reason == "truncated":
        with pytest.raises(OSError, match="truncated"):
            Image.open(io.BytesIO(data)).load()
    else:
        assert reason == "too_many_pixels"
        assert len(data) < 100_000
        with pytest.raises(Image.DecompressionBombError):
            Image.open(io.BytesIO(data))


def test_planted_rows_are_bad_as_said(rows: list[dict], planted: list[dict]):
    of_id = Counter(row["item_id"] for row in rows)
    for record in planted:
        if record["kind"] not in ROW_FAULTS and record["kind"] not in EXCESSES:
            continue
        number = row_number(record)
        row = rows[number]
        later = [other for other in rows[number + 1 :] if other["item_id"] == row["item_id"]]
        bad = {
            "duplicate_equal": lambda row=row, later=later: later == [row],
            "duplicate_different": lambda row=row, later=later: len(later) == 1 and later != [row],
            "null_id": lambda row=row: row["item_id"] is None,
            "empty_id": lambda row=row: row["item_id"] == "",
            "oversized_id": lambda row=row: len(row["item_id"]) > 512,
            "no_content": lambda row=row: not row["images"] and not any(row[name] for name in TEXT_FIELDS),
            "only_broken_picture": lambda row=row: len(row["images"]) == 1 and not any(row[n] for n in TEXT_FIELDS),
            "too_many_pictures": lambda row=row: len(set(row["images"])) > MAX_PICTURES,
            "long_text": lambda row=row: len(row["description"]) > 100_000,
        }[record["kind"]]
        assert bad(), record
        assert "duplicate" in record["kind"] or of_id[row["item_id"]] == 1 or not row["item_id"]


def test_planted_engagements_are_bad_as_said_and_the_log_is_sorted(shop: Path, planted: list[dict], rows: list[dict]):
    log = pq.read_table(shop / "engagements.parquet")
    known = {row["item_id"] for row in rows}
    end = datetime(2026, 7, 1, tzinfo=UTC)
    for record in (record for record in planted if record["kind"] in ENGAGEMENT_FAULTS):
        row = log.slice(row_number(record), 1).to_pylist()[0]
        bad = {
            "unknown_action": row["action"] not in ACTIONS,
            "unknown_surface": row["surface"] not in SURFACES,
            "null_timestamp": row["timestamp"] is None,
            "null_item": row["item_id"] is None,
            "missing_query": row["surface"] == "search" and row["query"] is None,
            "unknown_item": row["item_id"] not in known,
            "future_timestamp": row["timestamp"] is None or row["timestamp"] >= end,
        }
        assert bad[record["kind"]], record
    times = log["timestamp"].drop_null().to_numpy()
    assert (np.diff(times.astype(np.int64)) >= 0).all()


def test_text_uses_all_fields_with_gaps_and_some_items_lack_text_or_pictures():
    assortment = make_assortment(400, 2)
    catalogue = make_catalogue(assortment, 2)
    for name in TEXT_FIELDS:
        filled = sum(1 for text in catalogue.texts if text[name])
        assert 0.1 * 400 < filled < 0.98 * 400, name
    without_text = sum(1 for text in catalogue.texts if not any(text.values()))
    without_pictures = sum(1 for uris in catalogue.images if not uris)
    assert 8 <= without_text <= 24
    assert 8 <= without_pictures <= 24
    assert all(any(text.values()) or uris for text, uris in zip(catalogue.texts, catalogue.images, strict=True))
    colours = assortment.truth()["colour"].to_pylist()
    named = [
        colour in " ".join(filter(None, text.values())) for colour, text in zip(colours, catalogue.texts, strict=True)
    ]
    assert 0.25 < np.mean(named) < 0.75  # else the colour shows in the picture only, or the text would give it all


def test_pictures_are_shared_by_uri_and_by_copied_files(shop: Path, rows: list[dict]):
    uses = Counter(uri for row in rows for uri in set(row["images"]))
    assert max(uses.values()) > 1
    relisted = list((shop / "images" / "relisted").iterdir())
    originals = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (shop / "images").glob("[0-9]*/*")}
    assert relisted
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in relisted} <= originals


def test_log_has_all_surfaces_and_actions_skewed_sparse_and_inside_its_window(log: pa.Table):
    frame = log.to_pandas()
    per_action = frame["action"].value_counts()
    assert list(per_action.index[:2]) == ["impression", "click"]
    assert set(per_action.index) == set(ACTIONS)
    assert per_action["checkout"] < 0.15 * per_action["click"]
    assert 0 < per_action["return"] < 0.25 * per_action["checkout"]
    assert set(frame["surface"]) == set(SURFACES)
    assert (frame["query"].isna() == (frame["surface"] == "home")).all()
    assert 0.02 < frame["user_id"].isna().mean() < 0.12
    assert 50 * 600 < len(frame) < 110 * 600
    assert frame["timestamp"].min() >= datetime(2026, 3, 3, tzinfo=UTC)
    assert frame["timestamp"].max() < datetime(2026, 7, 1, tzinfo=UTC)
    clicks = frame[frame["action"] == "click"]["item_id"].value_counts().to_numpy()
    assert clicks[: len(clicks) // 10].sum() > 0.25 * clicks.sum()


def test_clicks_follow_the_query_and_users_have_few_tastes(log: pa.Table):
    assortment = make_assortment(600, 1)
    kinds = dict(zip(assortment.truth()["item_id"].to_pylist(), assortment.column("product_type"), strict=True))
    _, anchors = make_query_pictures(assortment, 1)
    frame = log.to_pandas()
    clicks = frame[(frame["action"] == "click") & (frame["surface"] == "closeup")]
    asked = [assortment.products[anchors[int(uri[-9:-4])]].product_type for uri in clicks["query"]]
    assert np.mean([kinds[item] == kind for item, kind in zip(clicks["item_id"], asked, strict=True)]) > 0.9
    users = frame[frame["action"] == "click"].dropna(subset=["user_id"])
    users = users.assign(kind=users["item_id"].map(kinds))
    counts = users.groupby("user_id")["kind"].agg(lambda column: column.value_counts(normalize=True).iloc[:4].sum())
    assert counts.median() > 0.7


def test_what_disappoints_comes_back_and_no_other_row_depends_on_it(log: pa.Table, monkeypatch: pytest.MonkeyPatch):
    assortment = make_assortment(600, 1)
    weight_of = dict(zip(assortment.truth()["item_id"].to_pylist(), assortment.return_weight_N, strict=True))
    frame = log.to_pandas()
    bought, back = (frame[frame["action"] == action] for action in ("checkout", "return"))
    share_of = back["item_id"].map(weight_of).value_counts() / bought["item_id"].map(weight_of).value_counts()
    assert share_of[0.55] > 10 * share_of[0.02] > 0
    assert 0.06 < len(back) / len(bought) < 0.1  # a tenth, but for what comes back after the end of the log
    keys = ["session_id", "item_id"]
    assert len(back.merge(bought.drop_duplicates(keys), on=keys)) == len(back)
    monkeypatch.setattr(type(assortment), "return_weight_N", np.linspace(1, 2, 600))
    queries, anchors = make_query_pictures(assortment, 1)
    other = make_engagements(assortment, [spec.uri for spec in queries], anchors, 1, date(2026, 6, 30)).to_pandas()
    assert set(other[other["action"] == "return"]["item_id"]) != set(back["item_id"])
    rest, other_rest = (rows[rows["action"] != "return"].reset_index(drop=True) for rows in (frame, other))
    assert rest.equals(other_rest)
