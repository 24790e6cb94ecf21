"""What happens to a store between runs: a truncated or damaged index, other buckets, empty days, clocks that jump,
folders deleted by hand, scratch left lying about."""

import os
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from exploration import SOAK, soak
from fault_bench import (
    DAY,
    DAY_BEFORE,
    NUM_BUCKETS,
    Bench,
    Outcome,
    assert_sound,
    copy_of,
    differing,
    flip,
    pointer_of,
    published_after,
    result_of,
)

from pipelines.serving.published_items import PublishedItems
from pipelines.serving.searcher import Searcher
from pipelines.store import store
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json, write_json

pytest_plugins = ["fault_fixtures"]
pytestmark = pytest.mark.slow
#: Of Annoy's file for 256 numbers: descendants (4 bytes), children or norm (8), the vector.
NODE_BYTES = 4 + 8 + 4 * 256


def half_of(bench: Bench, tmp_path: Path) -> tuple[Path, Path]:
    """A store and its run of today, killed just before it was finished."""
    half = copy_of(bench.half, tmp_path / "half")
    (run,) = (half / "runs" / DAY).iterdir()
    return half, run


def refused(bench: Bench, folder: Path, *argv: str, codes: tuple[int, ...] = (1, 2, 3)) -> Outcome:
    """The day ends in a clear error; readers keep yesterday's run, which is sound."""
    before, outcome = pointer_of(folder), bench.day(folder, *argv)
    assert outcome.error
    assert outcome.code in codes, outcome.output
    assert pointer_of(folder) == before
    old = store.current_run(str(folder))
    assert old.parent.name == DAY_BEFORE
    assert_sound(folder, old)
    return outcome


@pytest.mark.parametrize("nodes", [1, *soak(20)])
def test_a_truncated_index_of_yesterday(bench, folder, figures, nodes):
    run = store.current_run(str(folder))
    cut_off(run, nodes)
    with pytest.raises(CorruptFileError, match="expected"):
        Searcher(str(folder))
    assert len(Searcher(str(folder), exact=True).item_ids) > 40
    equal_items_again(bench, folder)
    figures["faults survived"] += 1


def equal_items_again(bench: Bench, folder: Path) -> Outcome:
    """The day with yesterday's catalogue, which would take both indexes over: what it publishes is as undamaged."""
    outcome = bench.day(folder, "--catalog", f"{bench.shop}/yesterday.parquet")
    assert outcome.code == 0, outcome.output
    new = store.current_run(str(folder))
    assert new.parent.name == DAY
    others = differing(result_of(new), result_of(store.current_run(str(bench.day_old))))
    of_another_date = (
        "users/",
        "user_actions/",
        "item_popularity/",
        "index/manifest.json",
    )  # the queries it was measured by
    assert all(name.startswith(of_another_date) for name in others), others
    assert_sound(folder, new)
    return outcome


@pytest.mark.parametrize("poisoned", [True, *soak(False)])
def test_a_truncated_index_of_today(bench, tmp_path, figures, poisoned):
    """poisoned: index/manifest.json agrees with the truncated file, as if both had been written so."""
    half, run = half_of(bench, tmp_path)
    cut_off(run, 5)
    if poisoned:
        described = read_json(run / "index" / "manifest.json")
        data = (run / "index" / "items.ann").read_bytes()
        described["files"]["items.ann"] = {"bytes": len(data), "sha256": store.fingerprint([len(data)])}
        write_json(run / "index" / "manifest.json", described)
    before = pointer_of(half)
    bench.check(half, before, bench.day(half))
    Searcher(str(half))
    figures["faults survived"] += 1


@pytest.mark.soak
def test_a_truncated_index_of_the_published_run_is_refused(bench, folder, figures):
    published_after(bench, folder)
    cut_off(store.current_run(str(folder)), 3)
    with pytest.raises(CorruptFileError, match="expected"):
        Searcher(str(folder))
    assert bench.run("search", "--store", str(folder), "--text", "red dress").error
    figures["faults survived"] += 1


def test_a_flipped_byte_in_yesterdays_vectors_fails_the_gates_that_need_them(bench, folder, figures):
    """Also with yesterday's catalogue, whose recomputed file has the checksum that yesterday's manifest promises."""
    catalogue = ("--catalog", f"{bench.shop}/yesterday.parquet")
    (part,) = (store.current_run(str(folder)) / "embeddings").iterdir()
    flip(part, part.stat().st_size // 2)
    assert "[coverage]" in refused_without_yesterday(bench, folder, *catalogue)
    because = ("--accept", "coverage,neighbour_overlap,drift", "--because", "the disk broke")
    outcome = bench.day(folder, *catalogue, *because)
    assert outcome.code == 0, outcome.output
    num_rows = pq.read_metadata(store.current_run(str(folder)) / "embeddings" / part.name).num_rows
    assert f"yesterday {num_rows} = reused 0 + changed 0 + gone 0 + not compared {num_rows}\n" in outcome.output
    figures["faults survived"] += 1


def refused_without_yesterday(bench: Bench, folder: Path, *argv: str) -> str:
    """The error of a day that fails its gates for a damaged yesterday; readers stay."""
    before, outcome = pointer_of(folder), bench.day(folder, *argv)
    assert outcome.code == 3, outcome.output
    assert pointer_of(folder) == before
    return outcome.error


REFINED_FILES = ["items.ann", *soak("near_duplicates.parquet", "ids.parquet", "manifest.json")]


def damage_refined(run: Path, name: str, damage: str) -> None:
    path = run / "refined_index" / name
    if damage == "flipped":
        flip(path, path.stat().st_size // 2)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.unlink()


@pytest.mark.parametrize("damage", ["flipped", *soak("truncated", "gone")])
@pytest.mark.parametrize("name", REFINED_FILES)
def test_a_damaged_refined_index_of_yesterday_is_not_taken_over(bench, folder, figures, name, damage):
    yesterday = store.current_run(str(folder))
    damage_refined(yesterday, name, damage)
    with pytest.raises(CorruptFileError, match="expected"):
        PublishedItems(str(folder))
    outcome = equal_items_again(bench, folder)
    refused = "index: refined is computed, not taken over: expected sha256" in outcome.output
    assert refused == (damage == "flipped"), outcome.output  # of another size, it does not even count as finished
    today = store.current_run(str(folder))
    forests = [(run / "index" / "items.ann").read_bytes() for run in (yesterday, today)]
    assert forests[0] == forests[1], "the full index, which is sound, became another"
    PublishedItems(str(folder))
    figures["faults survived"] += 1


@pytest.mark.parametrize("name", REFINED_FILES[:3])
def test_a_flipped_byte_in_the_refined_index_of_today_fails_its_gate(bench, tmp_path, figures, name):
    half, run = half_of(bench, tmp_path)
    damage_refined(run, name, "flipped")
    before, outcome = pointer_of(half), bench.run("publish", "--store", str(half), "--run", str(run))
    assert outcome.code == 3, outcome.output
    assert "[refined_index] expected sha256" in outcome.error
    assert pointer_of(half) == before
    published_after(bench, half)  # the day itself repeats the stage
    PublishedItems(str(half))
    figures["faults survived"] += 1


@pytest.mark.parametrize("damage", ["truncated", *soak("gone")])
@pytest.mark.parametrize("name", REFINED_FILES)
def test_a_refined_index_of_today_of_another_size_is_built_again(bench, tmp_path, figures, name, damage):
    half, run = half_of(bench, tmp_path)
    damage_refined(run, name, damage)
    published_after(bench, half)
    figures["faults survived"] += 1


def cut_off(run: Path, nodes: int) -> None:
    """Cuts the index at the boundary of a node: Annoy loads such a file and answers from it."""
    path = run / "index" / "items.ann"
    data = path.read_bytes()
    assert len(data) % NODE_BYTES == 0
    path.write_bytes(data[: -nodes * NODE_BYTES])


def test_another_number_of_buckets(bench, folder, figures):
    assert f"expected {NUM_BUCKETS} buckets" in refused(bench, folder, "--num-buckets", "5", codes=(2,)).error
    if SOAK:
        published_after(bench, folder, "--num-buckets", str(NUM_BUCKETS))
    figures["faults survived"] += 1


@pytest.mark.parametrize(
    "content",
    [
        '{"num_buckets": 4}',
        *soak("{}", "[]", '{"num_buckets": "x"}', '{"num_buckets": 0}', '{"num_buckets": -1}', "", None, "\udcff"),
    ],
)
def test_a_store_file_with_other_buckets(bench, folder, figures, content):
    path = folder / "store.json"
    undamaged = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode(errors="surrogateescape"))
    if not bench.check(folder, pointer_of(folder), bench.day(folder)):
        path.write_bytes(undamaged)
        published_after(bench, folder)
    figures["faults survived"] += 1


def test_empty_days(bench, folder, tmp_path, figures):
    table = pq.read_table(bench.shop / "today.parquet")
    pq.write_table(table[:0], tmp_path / "none.parquet")
    pq.write_table(table.slice(0, 0).select(["item_id"]), tmp_path / "ids.parquet")
    (tmp_path / "header.csv").write_text("item_id,title\n")
    (tmp_path / "nothing.csv").write_text("")
    (tmp_path / "nothing.parquet").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "_SUCCESS").write_text("")
    names = ["none.parquet", "folder", "nothing.csv"]
    if SOAK:
        names += ["header.csv", "ids.parquet", "hidden", "absent.parquet", "nothing.parquet"]
    for name in names:
        refused(bench, folder, "--catalog", str(tmp_path / name), codes=(1, 2, 3) if "nothing" in name else (2, 3))
        figures["faults survived"] += 1


@pytest.mark.soak
def test_all_bad_days(bench, folder, tmp_path, figures):
    rows = pq.read_table(bench.shop / "today.parquet")
    ids = rows.schema.get_field_index("item_id")
    values = {"null": None, "blank": " ", "long": "x" * 5_000} if SOAK else {"null": None}
    for name, value in values.items():
        bad = rows.set_column(ids, rows.schema.field(ids), pa.array([value] * len(rows), rows.schema.field(ids).type))
        pq.write_table(bad, tmp_path / f"{name}.parquet")
        refused(bench, folder, "--catalog", str(tmp_path / f"{name}.parquet"), codes=(2, 3))
        figures["faults survived"] += 1
    shutil.copytree(bench.shop / "images", tmp_path / "shop" / "images")
    for path in (tmp_path / "shop" / "images").rglob("*.*"):
        if path.is_file():
            path.write_bytes(b"no picture")
    refused(bench, folder, "--image-root", str(tmp_path / "shop"), codes=(3,))
    (tmp_path / "bare").mkdir()
    refused(bench, folder, "--image-root", str(tmp_path / "bare"), codes=(2, 3))
    if SOAK:
        published_after(bench, folder)
    figures["faults survived"] += 2


def test_a_run_of_an_earlier_day_leaves_readers_where_they_are(bench, folder, figures):
    before = pointer_of(folder)
    earlier = bench.day(folder, date="2026-06-28")
    assert earlier.code == 0, earlier.output
    assert pointer_of(folder) == before
    (run,) = (folder / "runs" / "2026-06-28").iterdir()
    assert_sound(folder, run)
    again = bench.day(folder, "--attempt", "1", date="2026-06-28")
    assert again.code == 0, again.output
    assert f"compared with {run}\n" in again.output
    (second,) = set((folder / "runs" / "2026-06-28").iterdir()) - {run}
    changes = read_json(second / "changes.json")
    assert (changes["against"], changes["counts"]["new"], changes["counts"]["changed"]) == (run.name, 0, 0)
    assert pointer_of(folder) == before
    if SOAK:
        published_after(bench, folder)
        today = store.current_run(str(folder))
        assert read_json(today / "started.json")["previous"].startswith(f"runs/{DAY_BEFORE}/")
    figures["faults survived"] += 1


@pytest.mark.parametrize("year_s", [4e9, *soak(1e9)])
def test_a_system_clock_that_jumps(bench, tmp_path, folder, figures, year_s):
    """All files of the store are from long ago, or from days to come; with the killed run of today and without."""
    half, _ = half_of(bench, tmp_path)
    for each in (half, folder) if SOAK else (half,):
        for path in each.rglob("*"):
            if path.is_file() and "models" not in path.parts:
                os.utime(path, (year_s, year_s))
        published_after(bench, each)
        assert read_json(store.current_run(str(each)) / "started.json")["previous"].startswith(f"runs/{DAY_BEFORE}/")
    figures["faults survived"] += 1


def test_yesterdays_run_deleted(bench, folder, figures):
    run = store.current_run(str(folder))
    shutil.rmtree(run)
    with pytest.raises(CorruptFileError, match=r"expected .* to name a finished run, got"):
        Searcher(str(folder))
    assert "to name a finished run" in bench.run("search", "--store", str(folder), "--text", "red dress").error
    before, outcome = pointer_of(folder), bench.day(folder)
    assert outcome.code == 3, outcome.output
    assert "cannot be compared" in outcome.output
    assert pointer_of(folder) == before
    accepted = re.search(r"--accept (\S+)", outcome.error)
    assert accepted is not None
    published_after(bench, folder, "--accept", accepted[1], "--because", "yesterday was deleted by hand")
    figures["faults survived"] += 1


@pytest.mark.soak
def test_all_runs_and_the_pointer_deleted(bench, folder, figures):
    shutil.rmtree(folder / "runs")
    (folder / "CURRENT").unlink()
    with pytest.raises(UsageError, match="expected a published run"):
        Searcher(str(folder))
    assert bench.check(folder, b"", bench.day(folder))
    figures["faults survived"] += 1


YESTERDAYS_PARTS = [
    "embeddings",
    *soak("features", "items", "fingerprints", "manifests", "index", "units", "query_pictures", "COMPLETED"),
    *soak("manifest.json", "refined_index", "units/index", "users", "user_actions", "item_popularity"),
    *soak("manifests/users.json", "units/users", "metrics.json", "gates.json", "started.json", "changes", "quarantine"),
]


@pytest.mark.parametrize("name", YESTERDAYS_PARTS)
def test_a_part_of_yesterdays_run_deleted(bench, folder, figures, name):
    path, before = store.current_run(str(folder)) / name, pointer_of(folder)
    path.rename(folder / "away")
    if not bench.check(folder, before, bench.day(folder)):
        (folder / "away").rename(path)
        published_after(bench, folder)
    figures["faults survived"] += 1


TODAYS_PARTS = [
    "embeddings",
    *soak("items", "features", "fingerprints", "manifests", "index", "units", "query_pictures", "manifest.json"),
    *soak("refined_index", "units/index", "metrics.json", "gates.json", "started.json", "changes", "quarantine"),
    *soak("units/items", ".", "users", "user_actions", "item_popularity", "manifests/users.json", "units/users"),
]


@pytest.mark.parametrize("name", TODAYS_PARTS)
def test_a_part_of_todays_half_finished_run_deleted(bench, tmp_path, figures, name):
    half, run = half_of(bench, tmp_path)
    path = run / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    published_after(bench, half)
    figures["faults survived"] += 1


@pytest.mark.soak
@pytest.mark.parametrize("name", ["history.jsonl", "LOCK", "CURRENT", "store.json"])
def test_a_file_of_the_store_deleted(bench, folder, figures, name):
    (folder / name).unlink()
    assert bench.check(folder, b"", bench.day(folder))
    figures["faults survived"] += 1


def test_scratch_never_counts_as_data(bench, tmp_path, figures):
    """What killed writers leave behind, in every folder of yesterday's run and of today's."""
    half, run = half_of(bench, tmp_path)
    for place in (store.current_run(str(half)), run):
        folders = [place, *(path for path in place.rglob("*") if path.is_dir())]
        for each in folders:
            for path in [path for path in each.iterdir() if path.is_file()]:
                torn = path.read_bytes()[: path.stat().st_size // 2]
                (each / f".{path.name}.0123abcd.tmp").write_bytes(torn)
    assert len(Searcher(str(half)).item_ids) > 40
    published_after(bench, half)
    assert len(Searcher(str(half)).item_ids) == len(bench_ids(bench))
    figures["faults survived"] += 1


@pytest.mark.soak
def test_a_killed_writer_leaves_only_hidden_files(bench, folder, figures):
    assert bench.day(folder, die=("before", "*/embeddings/part-*.parquet")).code < 0
    (run,) = (folder / "runs" / DAY).iterdir()
    assert [path.name[0] for path in (run / "embeddings").iterdir()] == ["."]
    published_after(bench, folder)
    figures["faults survived"] += 1


def bench_ids(bench: Bench) -> list[str]:
    return pq.read_table(pa.BufferReader(bench.clean["index/ids.parquet"]))["item_id"].to_pylist()
