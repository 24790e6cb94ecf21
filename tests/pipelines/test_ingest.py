"""Ingest: the pipeline equals the direct computation, however the input is cut, ordered or interrupted."""

import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.job import build, main, run
from pipelines.ingest.plan import plan_ingest
from pipelines.run import bucket_rows
from pipelines.run.bucket_rows import pack, split_by_bucket, unpack
from pipelines.run.units import read_stage_manifest
from schemas.errors import ThresholdError, UsageError
from schemas.hashing import bucket_of
from schemas.reading import rows as reading
from schemas.reading.input_files import relative_names
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import ITEMS, QUARANTINE
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.duplicates import resolve_duplicates

pytestmark = pytest.mark.medium

OPTIONS = PipelineOptions(["--runner=FnApiRunner"])


def catalogue(count: int = 300, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with every kind of fault that all three formats can carry, and pictures without a URI."""
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = [
        {"item_id": f"item-{i}", "title": f"mug {i % 7}", "images": [f"{i}-{n}.jpg" for n in range(i % 25)]}
        for i in range(count)
    ]
    rows += [dict(rng.choice(rows)) for _ in range(40)]
    rows += [{**rng.choice(rows), "title": f"other {i}"} for i in range(40)]
    rows += [{"item_id": None, "title": "x", "images": []}, {"item_id": " ", "title": "x", "images": []}]
    rows += [
        {"item_id": "y" * 600, "title": "x", "images": []},
        {"item_id": "long", "title": "z" * 10_001, "images": [" ", "l.jpg", None]},
    ]
    rng.shuffle(rows)
    return rows


def write_shop(folder: Path, rows: list[dict[str, Any]], num_files: int = 3, row_group_size: int = 1000) -> Path:
    """Contiguous parts, so that any number of files keeps the order of the rows."""
    folder.mkdir(parents=True)
    size = -(-len(rows) // num_files)
    schema = pa.schema([("item_id", pa.string()), ("title", pa.string()), ("images", pa.list_(pa.string()))])
    for number in range(num_files):
        part = pa.Table.from_pylist(rows[number * size : (number + 1) * size], schema=schema)
        pq.write_table(part, folder / f"part-{number:03d}.parquet", row_group_size=row_group_size)
    return folder


def stored(path: Path, but: str = "") -> dict[str, bytes]:
    """Every file of a run folder but those under `but`."""
    files = (file for file in path.rglob("*") if file.is_file())
    named = {str(file.relative_to(path)): file.read_bytes() for file in files}
    return {name: data for name, data in named.items() if not (but and name.startswith(but))}


def quarantine(path: Path) -> list[dict[str, Any]]:
    tables = [pq.read_table(file) for file in sorted((path / "quarantine").glob("items-*.parquet"))]
    return pa.concat_tables([QUARANTINE.empty_table(), *tables]).to_pylist()


def items(path: Path) -> list[pa.Table]:
    return [pq.read_table(file) for file in sorted((path / "items").iterdir())]


def test_pipeline_equals_direct_computation(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", catalogue(), row_group_size=50)
    manifest = run(IngestConfig(run=str(tmp_path / "run"), catalog=str(shop), num_buckets=5), OPTIONS)

    files = sorted(map(str, shop.iterdir()))
    parts, rejected = [], []
    for part in plan_slices(files):
        for raw in read_slice(part, {}):
            good, bad, _ = validate_catalogue(raw, part)
            parts.append(good)
            rejected += bad
    expected, duplicates, num_collapsed = resolve_duplicates(pa.concat_tables(parts), relative_names(files))

    tables = items(tmp_path / "run")
    assert len(tables) == 5
    for bucket, table in enumerate(tables):
        assert table.schema == ITEMS
        found = table["item_id"].to_pylist()
        assert found == sorted(found)
        assert {bucket_of(item_id, 5) for item_id in found} <= {bucket}
    assert pa.concat_tables(tables).sort_by("item_id").equals(expected.select(ITEMS.names))
    wanted = {(entry.where, entry.reason, entry.item_id) for entry in [*rejected, *duplicates]}
    assert {(row["where"], row["reason"], row["item_id"]) for row in quarantine(tmp_path / "run")} == wanted
    assert len(wanted) == len(quarantine(tmp_path / "run"))

    counts = manifest["counts"]
    assert counts["rows_read"] == len(catalogue()) == 384
    assert counts["rows_read"] == counts["rows_written"] + counts["rows_collapsed"] + counts["rows_quarantined"]
    assert (counts["rows_written"], counts["rows_collapsed"]) == (301, num_collapsed)
    assert min(num_collapsed, len(duplicates)) > 10
    assert {reason: counts[f"reason:{reason}"] for reason in ("null_id", "empty_id", "oversized_id")} == dict.fromkeys(
        ("null_id", "empty_id", "oversized_id"), 1
    )
    assert counts["texts_truncated"] == 1
    assert counts["pictures_listed"] == sum(len(images) for images in expected["images"].to_pylist())
    assert counts["pictures_cut_off"] == 12 * (1 + 2 + 3 + 4)
    assert counts["pictures_empty"] == 2
    assert manifest == read_stage_manifest(str(tmp_path / "run"), "items")
    assert manifest["num_buckets"] == 5


@pytest.mark.parametrize(("row_group_size", "batch_rows", "flush_bytes"), [(7, 8_192, 1 << 20), (1000, 11, 2_000)])
def test_slicing_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row_group_size: int, batch_rows: int, flush_bytes: int
) -> None:
    def ingest_into(name: str, rows_a_group: int) -> Path:
        shop = write_shop(tmp_path / name / "shop", catalogue(), row_group_size=rows_a_group)
        run(IngestConfig(run=str(tmp_path / name / "run"), catalog=str(shop), num_buckets=4), OPTIONS)
        return tmp_path / name / "run"

    whole = ingest_into("whole", 1000)
    monkeypatch.setattr(reading, "MAX_BATCH_ROWS", batch_rows)
    monkeypatch.setattr(bucket_rows, "FLUSH_BYTES", flush_bytes)
    cut = ingest_into("cut", row_group_size)
    for folder in ("items", "quarantine"):
        assert stored(whole / folder) == stored(cut / folder) != {}


def test_every_local_runner_writes_the_same_bytes(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", catalogue())
    flags = [
        ["--runner=FnApiRunner"],
        ["--runner=BundleBasedDirectRunner"],
        ["--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_threading"],
    ]
    for number, options in enumerate(flags):
        run(IngestConfig(run=str(tmp_path / f"{number}" / "run"), catalog=str(shop)), PipelineOptions(options))
    assert stored(tmp_path / "0/run") == stored(tmp_path / "1/run") == stored(tmp_path / "2/run")


def test_formats_store_the_same_items(tmp_path: Path) -> None:
    rows = [row for row in catalogue(60) if row["item_id"] != " "]
    write_shop(tmp_path / "parquet", rows, num_files=1)
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "csv").mkdir()
    with open(tmp_path / "csv" / "c.csv", "w") as file:
        file.write("item_id,title,images\n")
        file.writelines(
            f"{row['item_id'] or ''},{row['title']},{'|'.join(uri or '' for uri in row['images'])}\n" for row in rows
        )
    for name in ("parquet", "json", "csv"):
        run(IngestConfig(run=str(tmp_path / f"run-{name}"), catalog=str(tmp_path / name)), OPTIONS)
    assert stored(tmp_path / "run-parquet" / "items") == stored(tmp_path / "run-json" / "items")
    assert stored(tmp_path / "run-parquet" / "items") == stored(tmp_path / "run-csv" / "items")
    wheres = [sorted(row["where"] for row in quarantine(tmp_path / f"run-{name}")) for name in ("json", "csv")]
    lines = [sorted(int(where.split(":")[1]) for where in found) for found in wheres]
    assert lines[0] == [line - 1 for line in lines[1]]  # the CSV header is line 1


def test_finished_run_reads_nothing_and_a_lost_bucket_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = IngestConfig(run=str(tmp_path / "run"), catalog=str(write_shop(tmp_path / "shop", catalogue())))
    first = run(config, OPTIONS)
    before = stored(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(ingest, "plan_ingest", lambda *_: pytest.fail("planned a finished run"))
        assert run(config, OPTIONS) == first
        assert run(replace(config, num_buckets=first["num_buckets"]), OPTIONS) == first  # as a store asks later
    lost = sorted((tmp_path / "run" / "items").iterdir())[1]
    lost.unlink()
    kept = sorted((tmp_path / "run" / "items").iterdir())
    written_ns = [file.stat().st_mtime_ns for file in kept]
    with beam.Pipeline(options=OPTIONS) as pipeline:
        sidecars = build(pipeline, config) | beam.Map(lambda sidecar: sidecar["unit"])
        assert_that(sidecars, equal_to([lost.stem]))
    assert run(config, OPTIONS) == first
    assert stored(tmp_path / "run") == before
    assert [file.stat().st_mtime_ns for file in kept] == written_ns


def test_changed_input_replaces_everything(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", catalogue())
    run(IngestConfig(run=str(tmp_path / "run"), catalog=str(shop), num_buckets=7), OPTIONS)
    write_shop(tmp_path / "other", [{"item_id": "only", "title": "mug", "images": []}], num_files=1)
    for name in ("run", "fresh"):
        run(IngestConfig(run=str(tmp_path / name), catalog=str(tmp_path / "other")), OPTIONS)
    assert stored(tmp_path / "run") == stored(tmp_path / "fresh")
    assert not quarantine(tmp_path / "run")
    assert [table.num_rows for table in items(tmp_path / "run")].count(0) == 3
    run(IngestConfig(run=str(tmp_path / "run"), catalog=str(tmp_path / "other"), num_buckets=2), OPTIONS)
    assert [table.num_rows for table in items(tmp_path / "run")] in ([0, 1], [1, 0])


def test_a_published_run_is_refused_before_anything_of_it_is_touched(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", catalogue())
    run(IngestConfig(run=str(tmp_path / "run"), catalog=str(shop)), OPTIONS)
    (tmp_path / "run" / "COMPLETED").touch()
    before = {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()}
    write_shop(tmp_path / "other", [{"item_id": "only", "title": "mug", "images": []}], num_files=1)
    with pytest.raises(Exception, match="not published yet"):
        run(IngestConfig(run=str(tmp_path / "run"), catalog=str(tmp_path / "other")), OPTIONS)
    assert {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()} == before


def test_equal_files_elsewhere_are_the_same_input(tmp_path: Path) -> None:
    plans = []
    for name in ("a", "b"):
        shop = write_shop(tmp_path / name, catalogue())
        os.utime(next(shop.iterdir()), (1, 1))
        plans.append(plan_ingest(IngestConfig(run="r", catalog=str(shop))))
    assert plans[0].fingerprint == plans[1].fingerprint
    assert plans[0].num_buckets == 4
    mapped = IngestConfig(run="r", catalog=str(shop), columns={"brand": "title"})
    assert plan_ingest(mapped).fingerprint != plans[0].fingerprint


def test_nothing_valid_is_a_threshold_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = write_shop(tmp_path / "shop", [{"item_id": None, "title": "x", "images": []}] * 3, num_files=1)
    with pytest.raises(ThresholdError, match=r"none of 3 .*3 null_id"):
        run(IngestConfig(run=str(tmp_path / "run"), catalog=str(shop)), OPTIONS)
    assert len(quarantine(tmp_path / "run")) == 3
    assert not (tmp_path / "run" / "manifests").exists()
    assert main([f"--run={tmp_path / 'run'}", f"--catalog={shop}"]) == 3
    assert "none of 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    "runner", [["--runner=FnApiRunner"], ["--runner=BundleBasedDirectRunner"], ["--direct_num_workers=2"]]
)
def test_a_damaged_file_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], runner: list[str]
) -> None:
    """Found by a worker, whose exception most runners pass on as text."""
    shop = write_shop(tmp_path / "shop", catalogue(), num_files=1) / "part-000.parquet"
    data = bytearray(shop.read_bytes())
    data[4:200] = b"\xff" * 196
    shop.write_bytes(data)
    assert main([f"--run={tmp_path / 'run'}", f"--catalog={shop}", *runner]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line for line in lines if line.startswith("error: ")] == [lines[-1]]
    assert lines[-1].startswith("error: expected a Parquet file, got ")
    assert lines[-1].endswith(f"in {shop}: write it again")


def test_command_line_with_config_mapping_and_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "day=2024-05-01"
    folder.mkdir()
    (folder / "c.csv").write_text("sku,name\na,mug\nb\n")
    (tmp_path / "shop.toml").write_text(
        f'catalog = "{tmp_path}/day={{date}}/"\n[columns]\nitem_id = "sku"\ntitle = "name"\n'
    )
    flags = [f"--run={tmp_path / 'run'}", f"--config={tmp_path / 'shop.toml'}"]
    assert main(flags) == 2
    assert main([*flags, "--date=2024-05-01"]) == 0
    assert "rows read 2" in capsys.readouterr().out
    assert pa.concat_tables(items(tmp_path / "run")).select(["item_id", "title"]).to_pylist() == [
        {"item_id": "a", "title": "mug"}
    ]
    (row,) = quarantine(tmp_path / "run")
    assert (row["reason"], row["where"]) == ("broken_line", "c.csv:3")
    (folder / "c.csv").write_text("id,name\na,mug\n")
    assert main([*flags, "--date=2024-05-01"]) == 2
    assert "id, name" in capsys.readouterr().err


def test_wrong_number_of_buckets(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", catalogue())
    with pytest.raises(UsageError, match="-1"):
        plan_ingest(IngestConfig(run="r", catalog=str(shop), num_buckets=-1))


def test_flags() -> None:
    names = IngestConfig.__dataclass_fields__
    assert list(names) == ["run", "catalog", "date", "num_buckets", "group_rows", "columns"]


def test_pieces_are_a_partition() -> None:
    table = pa.table({"where": [f"c:{number}" for number in range(100)]})
    parts = dict(split_by_bucket(table, table["where"].to_pylist(), 7))
    assert sum(part.num_rows for part in parts.values()) == 100
    assert all(bucket_of(key, 7) == bucket for bucket, part in parts.items() for key in part["where"].to_pylist())
    with pytest.raises(AssertionError, match="neither"):
        unpack([pack(table)])


def test_cells_that_cannot_be_read_and_ids_in_two_forms_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        {"item_id": "cafe\u0301", "title": "a", "size": {"x": 1}},
        {"item_id": "caf\u00e9 ", "title": "b", "size": 42.5},
        {"item_id": "no\u0308", "title": "c", "size": "M"},
        {"item_id": "no\u0308", "title": "c", "size": "M"},
        {"item_id": None, "title": "d", "size": {"x": 1}},
    ]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert main(["--run", str(tmp_path / "run"), "--catalog", str(tmp_path / "c.jsonl")]) == 0
    counts = read_stage_manifest(str(tmp_path / "run"), "items")["counts"]
    assert counts["rows_read"] == counts["rows_written"] + counts["rows_collapsed"] + counts["rows_quarantined"] == 5
    assert (counts["cells_unreadable:size"], counts["ids_trimmed"], counts["ids_not_nfc"]) == (1, 1, 2)
    said = capsys.readouterr().out
    assert "cells unreadable:size 1" in said
    assert "items: WARNING: 1 ids are there in two Unicode forms, as two items: 'caf\u00e9'" in said


@pytest.mark.parametrize("given", ["Title", "Image", "Description"])
def test_a_column_that_only_seems_missing_stops_the_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    """Nothing of it would be published, and nothing would say so."""
    (tmp_path / "c.csv").write_text(f"item_id,brand,{given}\na,Acme,x\n")
    call = ["--run", str(tmp_path / "run"), "--catalog", str(tmp_path / "c.csv")]
    assert main(call) == 2
    assert f"is it '{given}'?" in capsys.readouterr().err
    ours = {"Title": "title", "Image": "images", "Description": "description"}[given]
    (tmp_path / "shop.toml").write_text(f'[columns]\n{ours} = ""\n')
    assert main([*call, "--config", str(tmp_path / "shop.toml")]) == 0


def test_a_config_says_how_columns_are_written(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(
        "id,name,image_link,additional_image_link,colour\na,mug,1.jpg,2.jpg;3.jpg,rot#blau\n"
    )
    config = """
        [columns]
        item_id = "id"
        title = "name"
        images = ["image_link", "additional_image_link"]
        colors = {source = "colour", separator = "#", values = {"rot blau" = "red blue"}}
        brand = {constant = "Acme"}
    """
    (tmp_path / "shop.toml").write_text(config)
    call = ["--run", str(tmp_path / "run"), "--catalog", str(tmp_path / "c.csv")]
    assert main([*call, "--config", str(tmp_path / "shop.toml")]) == 0
    (row,) = pa.concat_tables(items(tmp_path / "run")).to_pylist()
    assert (row["item_id"], row["title"], row["brand"]) == ("a", "mug", "Acme")
    assert (row["images"], row["colors"]) == (["1.jpg", "2.jpg", "3.jpg"], "red blue")


def test_a_row_that_holds_less_takes_no_others_place_and_the_flag_that_merges_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.csv").write_text("item_id,title,images\na,Mug,1.jpg\na,,2.jpg\nb,Cup,\nb,Bowl,\n")
    assert main(["--run", str(tmp_path / "run"), "--catalog", str(tmp_path / "c.csv")]) == 0
    titles = {row["item_id"]: row["title"] for table in items(tmp_path / "run") for row in table.to_pylist()}
    assert titles == {"a": "Mug", "b": "Bowl"}
    assert read_stage_manifest(str(tmp_path / "run"), "items")["counts"]["ids_of_partial_rows"] == 1
    said = capsys.readouterr().err
    assert "items: WARNING: 1 ids have rows that complete each other" in said
    assert "--group-rows merge" in said


def test_a_catalogue_that_ends_within_a_row_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.csv").write_text("item_id,title,brand\na,mug,b\nc,cup")
    manifest = run(IngestConfig(run=str(tmp_path / "run"), catalog=str(tmp_path / "c.csv")), OPTIONS)
    assert (manifest["counts"]["rows_written"], manifest["counts"]["reason:cut_off_file"]) == (1, 1)
    said = capsys.readouterr().err
    assert f"items: WARNING: 1 file ends within a row in {tmp_path / 'c.csv'}: expected whole ones, is the ex" in said
    (row,) = quarantine(tmp_path / "run")
    assert (row["reason"], row["where"]) == ("cut_off_file", "c.csv:3")
