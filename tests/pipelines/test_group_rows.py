"""--group-rows from the file to the items: an export with several rows a product, on every runner, in any order."""

import csv
import itertools
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from exploration import representatives, soak

from pipelines.daily.config import DailyConfig
from pipelines.daily.job import run_stages
from pipelines.fetch_images.job import FetchImagesConfig, build
from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig
from pipelines.operations.doctor.job import DoctorConfig, diagnose
from pipelines.run.accounting import account, summary
from pipelines.train.job import TrainConfig, identity
from schemas.errors import ThresholdError, UsageError
from schemas.tables import QUARANTINE

pytestmark = pytest.mark.slow

OPTIONS = PipelineOptions(["--runner=FnApiRunner"])
HEADER = [
    *("Handle", "Title", "Body (HTML)", "Vendor", "Type", "Tags", "Option1 Name", "Option1 Value", "Option2 Name"),
    *("Option2 Value", "Variant SKU", "Image Src", "Image Position", "Variant Image"),
]
URL = "https://pictures.example/"
COLUMNS = {
    "title": "Title",
    "description": "Body (HTML)",
    "brand": "Vendor",
    "product_types": "Type",
    "size": {"source": "Option1 Value", "null_words": ["Default Title"]},
    "colors": "Option2 Value",
}
BY_HANDLE = {**COLUMNS, "item_id": "Handle", "images": "Image Src"}
BY_SKU = {**COLUMNS, "item_id": "Variant SKU", "group": "Handle", "images": ["Variant Image", "Image Src"]}
COAT = {
    "Title": "Rain Coat",
    "Body (HTML)": "<p>Keeps you <b>dry</b></p>\n<ul><li>Hood</li></ul>",
    "Vendor": "Acme",
    "Type": "Coat",
    "Tags": "rain, blue",
}


def export(path: Path, rows: list[dict[str, str]]) -> str:
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, HEADER, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def coat_and_mug() -> list[dict[str, str]]:
    """A product of three variants and four pictures, five rows; one of one row."""
    return [
        {"Handle": "coat", **COAT, "Option1 Value": "S", "Option2 Value": "Blue", "Variant SKU": "C-S-B"}
        | {"Image Src": URL + "1.jpg", "Image Position": "1", "Variant Image": URL + "3.jpg"},
        {"Handle": "coat", "Option1 Value": "M", "Option2 Value": "Blue", "Variant SKU": "C-M-B"}
        | {"Image Src": URL + "2.jpg", "Image Position": "2"},
        {"Handle": "coat", "Option1 Value": "S", "Option2 Value": "Red", "Variant SKU": "C-S-R"}
        | {"Image Src": URL + "3.jpg", "Image Position": "3", "Variant Image": URL + "4.jpg"},
        {"Handle": "coat", "Image Src": URL + "4.jpg", "Image Position": "4"},
        {"Handle": "mug", "Title": "Mug", "Vendor": "Acme", "Option1 Value": "Default Title", "Variant SKU": "MUG"}
        | {"Image Src": URL + "m.jpg"},
    ]


def ingested(
    folder: Path, catalog: str, columns: dict[str, Any], **flags: Any
) -> tuple[dict[str, Any], dict[str, int]]:
    """(items by id, counts) of a run in the folder; the counts add up."""
    options = flags.pop("options", OPTIONS)
    manifest = ingest.run(IngestConfig(run=str(folder), catalog=catalog, columns=columns, **flags), options)
    counts = manifest["counts"]
    assert counts["rows_read"] == sum(
        counts.get(f"rows_{part}", 0) for part in ("written", "collapsed", "merged", "quarantined")
    )
    rows = pa.concat_tables(pq.read_table(path) for path in sorted((folder / "items").iterdir())).to_pylist()
    return {row["item_id"]: row for row in rows}, counts


def names(item: dict[str, Any]) -> list[str]:
    return [uri.removeprefix(URL) for uri in item["images"]]


def test_by_handle_a_product_is_one_item_with_its_texts_and_all_pictures(tmp_path: Path) -> None:
    catalog = export(tmp_path / "c.csv", coat_and_mug())
    items, counts = ingested(tmp_path / "run", catalog, BY_HANDLE, group_rows="merge")
    assert items.keys() == {"coat", "mug"}
    coat = items["coat"]
    assert (coat["title"], coat["brand"], coat["product_types"], coat["size"]) == ("Rain Coat", "Acme", "Coat", "S")
    assert "dry" in coat["description"]
    assert names(coat) == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert (counts["rows_read"], counts["rows_merged"], counts["rows_quarantined"]) == (5, 3, 0)
    assert counts["texts_differing"] == 2  # size M, colour Red


@pytest.mark.parametrize(
    ("group_rows", "pictures"),
    [
        ("merge", [["3.jpg", "1.jpg", "4.jpg"], ["2.jpg", "4.jpg"], ["4.jpg", "3.jpg"]]),
        (
            "share-pictures",
            [
                ["3.jpg", "1.jpg", "2.jpg", "4.jpg"],
                ["2.jpg", "3.jpg", "1.jpg", "4.jpg"],
                ["4.jpg", "3.jpg", "1.jpg", "2.jpg"],
            ],
        ),
    ],
)
def test_by_sku_each_variant_has_the_products_texts_its_own_options_and_its_picture_first(
    tmp_path: Path, group_rows: str, pictures: list[list[str]]
) -> None:
    catalog = export(tmp_path / "c.csv", coat_and_mug())
    items, counts = ingested(tmp_path / "run", catalog, BY_SKU, group_rows=group_rows)
    variants = {"C-S-B": ("S", "Blue"), "C-M-B": ("M", "Blue"), "C-S-R": ("S", "Red")}
    assert items.keys() == {*variants, "MUG"}
    for (sku, options), expected in zip(variants.items(), pictures, strict=True):
        item = items[sku]
        assert (item["title"], item["brand"]) == ("Rain Coat", "Acme")
        assert "dry" in item["description"]
        assert (item["size"], item["colors"]) == options
        assert names(item) == expected
    assert items["MUG"]["size"] is None
    assert "texts_differing" not in counts
    assert (counts["rows_read"], counts["rows_merged"], counts["rows_quarantined"]) == (5, 1, 0)


def many(seed: int = 3, num_groups: int = 80) -> list[dict[str, str]]:
    """Products of one to five rows: variants, pictures alone, rows of no id at all, ids that are there twice."""
    rng = random.Random(seed)
    rows = []
    for number in range(num_groups):
        for part in range(rng.randint(1, 5)):
            row = {"Handle": f"p{number}", "Image Src": f"{number}-{rng.randint(0, 3)}.jpg"}
            if part == 0:
                row |= {"Title": f"Thing {number}", "Vendor": rng.choice(["", "Acme"])}
            if rng.random() < 0.7:
                row |= {"Variant SKU": f"s{number}-{rng.randint(0, 2)}", "Option1 Value": rng.choice(["", "S", "M"])}
            rows.append(row)
    rows += [{"Title": "of nothing"}, {"Variant SKU": "s1-0", "Title": "in no group"}]
    return rows


@pytest.mark.parametrize("columns", [BY_HANDLE, BY_SKU], ids=["by_handle", "by_sku"])
def test_every_local_runner_and_cut_of_the_files_writes_the_same_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: dict[str, Any]
) -> None:
    rows = many()
    export(tmp_path / "c.csv", rows)
    (tmp_path / "parts").mkdir()
    for number in range(4):
        size = -(-len(rows) // 4)
        export(tmp_path / "parts" / f"{number}.csv", rows[number * size : (number + 1) * size])
    runs = [
        ("c.csv", ["--runner=FnApiRunner"]),
        ("c.csv", ["--runner=BundleBasedDirectRunner"]),
        ("parts", ["--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_threading"]),
    ]
    found, stored = [], []
    for number, (name, options) in enumerate(runs):
        folder = tmp_path / f"run-{number}"
        items, counts = ingested(
            folder, str(tmp_path / name), columns, group_rows="merge", options=PipelineOptions(options)
        )
        found.append((items, counts))
        stored.append({path.name: path.read_bytes() for path in sorted((folder / "items").iterdir())})
        monkeypatch.setattr("schemas.reading.rows.MAX_BATCH_ROWS", 7)
    assert found[0] == found[1] == found[2]
    assert stored[0] == stored[1] == stored[2]
    assert found[0][1]["rows_read"] == len(rows)
    assert found[0][1]["rows_merged"] > 50
    assert (found[0][0].get("s1-0") or {"title": ""})["title"] != "in no group"


def test_a_lost_bucket_is_written_again_with_the_same_bytes(tmp_path: Path) -> None:
    catalog = export(tmp_path / "c.csv", many())
    first = ingested(tmp_path / "run", catalog, BY_SKU, group_rows="merge")
    lost = sorted((tmp_path / "run" / "items").iterdir())[2]
    before = lost.read_bytes()
    lost.unlink()
    assert ingested(tmp_path / "run", catalog, BY_SKU, group_rows="merge") == first
    assert lost.read_bytes() == before


def test_groups_without_an_id_are_quarantined_with_what_to_do(tmp_path: Path) -> None:
    rows = [*coat_and_mug(), {"Handle": "ghost", "Title": "Ghost"}, {"Title": "of nothing"}]
    items, counts = ingested(tmp_path / "run", export(tmp_path / "c.csv", rows), BY_SKU, group_rows="merge")
    assert (len(items), counts["rows_quarantined"]) == (4, 2)
    tables = [pq.read_table(path) for path in sorted((tmp_path / "run/quarantine").iterdir())]
    told = {row["got"]: row for row in pa.concat_tables([QUARANTINE.empty_table(), *tables]).to_pylist()}
    assert {row["reason"] for row in told.values()} == {"null_id"}
    assert told["none in 'ghost'"]["remedy"] == "give a row of the group its item_id"


def test_unique_rows_give_the_same_bytes_with_and_without(tmp_path: Path) -> None:
    catalog = export(tmp_path / "c.csv", [row for row in coat_and_mug() if "Title" in row])
    stored = []
    for flag in ("no", "merge"):
        ingested(tmp_path / flag, catalog, BY_HANDLE, group_rows=flag)
        stored.append({path.name: path.read_bytes() for path in sorted((tmp_path / flag / "items").iterdir())})
    assert stored[0] == stored[1]


def test_a_group_that_nothing_is_done_with_is_refused(tmp_path: Path) -> None:
    catalog = export(tmp_path / "c.csv", coat_and_mug())
    with pytest.raises(UsageError, match="--group-rows merge or share-pictures"):
        ingest.plan_ingest(IngestConfig(run="r", catalog=catalog, columns=BY_SKU))
    wrong = {**BY_SKU, "group": "Handel"}
    with pytest.raises(UsageError, match="is it 'Handle'"):
        ingest.plan_ingest(IngestConfig(run="r", catalog=catalog, columns=wrong, group_rows="merge"))
    with pytest.raises(UsageError, match="--group-rows"):
        build(None, FetchImagesConfig(catalog=catalog, image_root=str(tmp_path), columns=BY_SKU))  # type: ignore[arg-type]


def test_what_is_merged_is_in_the_sum_and_in_the_lines_for_a_person() -> None:
    items = {"rows_read": 9, "rows_collapsed": 1, "rows_merged": 3, "rows_quarantined": 2}
    counts = account(
        {"items": items, "features": {}, "embeddings": {"rows_written": 3, "rows_computed": 3, "rows_new": 3}}
    )
    assert counts["rows_merged"] == 3
    shown = summary({"counts": counts, "accepted": {}}, {}, Path("run"))
    assert "read 9 = published 3 + collapsed 1 + merged 3 + quarantined 2" in shown
    none = summary({"counts": {**counts, "rows_merged": 0}, "accepted": {}}, {}, Path("run"))
    assert "collapsed 1 + quarantined 2" in none


def test_the_flag_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    catalog = export(tmp_path / "c.csv", coat_and_mug())
    fingerprints = {
        flag: ingest.plan_ingest(IngestConfig(run="r", catalog=catalog, columns=BY_HANDLE, group_rows=flag)).fingerprint
        for flag in ("no", "merge", "share-pictures")
    }
    assert len(set(fingerprints.values())) == 3
    assert DailyConfig(catalog=catalog, store="s", date="2026-06-30", group_rows="merge").group_rows == "merge"
    trained = [
        identity(TrainConfig(catalog=catalog, store="s", date="2026-06-30", columns=BY_HANDLE, group_rows=flag))
        for flag in ("no", "merge")
    ]
    assert trained[0] != trained[1]


@pytest.mark.parametrize(("columns", "num_items"), [(BY_SKU, 4), *soak((BY_HANDLE, 2))], ids=["by_sku", "by_handle"])
def test_doctor_puts_the_merged_items_of_the_first_rows_through_the_stages(
    tmp_path: Path, columns: dict[str, Any], num_items: int
) -> None:
    catalog = export(tmp_path / "c.csv", coat_and_mug())
    config = DoctorConfig(catalog=catalog, image_root=str(tmp_path), columns=columns, group_rows="merge")
    found = {finding.check: finding for finding in diagnose(config)}
    assert not found["columns of catalogue"].problems
    assert f"5 of the first 5 rows -> items {num_items}" in found["sample"].looked_at
    refused = diagnose(DoctorConfig(catalog=catalog, image_root=str(tmp_path), columns=BY_SKU))
    assert any("--group-rows" in problem for finding in refused for problem in finding.problems)


def test_daily_groups_rows_as_it_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is checked before a day and what its stages do is one thing."""
    told = DailyConfig(store=str(tmp_path), catalog="c.csv", date="2026-06-30", group_rows="merge", columns=BY_HANDLE)
    seen = []

    def stop_at_ingest(config: IngestConfig) -> str:
        seen.append(config)
        raise ThresholdError("seen enough")

    monkeypatch.setattr(ingest, "ingest_fingerprint", stop_at_ingest)
    with pytest.raises(ThresholdError, match="seen enough"):
        run_stages(told, OPTIONS, str(tmp_path / "run"), tmp_path, None)
    assert [(config.group_rows, config.columns, config.date) for config in seen] == [("merge", BY_HANDLE, "2026-06-30")]


BY_PARENT = {"item_id": {"source": ["Parent", "SKU", "ID"], "prefix": "id:"}, "title": "Name", "images": "Images"}
BESIDE_PARENT = {**BY_PARENT, "item_id": "ID", "group": BY_PARENT["item_id"], "description": "Text", "size": "Measure"}


@pytest.mark.parametrize(
    ("order", "num_files", "sku"),
    representatives(
        itertools.product([(0, 1, 2, 3), (1, 0, 2, 3), (1, 2, 0, 3), (3, 2, 1, 0), (1, 3, 2, 0)], [1, 4], ["WC-1", ""]),
        *(0, 5, 10, 15, 19),  # each order once; of files and SKUs, each with each
    ),
)
def test_a_row_that_others_name_is_the_first_wherever_it_stands(
    tmp_path: Path, order: tuple[int, ...], num_files: int, sku: str
) -> None:
    parent = sku or "id:1"
    rows = [
        f"1,variable,{sku},Mug,soft,,p.jpg,",
        f"2,variation,V-2,Mug - S,,S,s.jpg,{parent}",
        f"3,variation,V-3,Mug - M,only M,M,,{parent}",
        "4,simple,X-4,Cup,hard,,,",
    ]
    (tmp_path / "shop").mkdir()
    for number in range(num_files):
        some = [rows[row] for row in order[number::num_files]]
        text = "\n".join(["ID,Type,SKU,Name,Text,Measure,Images,Parent", *some, ""])
        (tmp_path / "shop" / f"{number}.csv").write_text(text)
    shop = str(tmp_path / "shop")
    items, counts = ingested(tmp_path / "merged", shop, BY_PARENT, group_rows="merge")
    assert items.keys() == {sku or "1", "X-4"}
    assert (items[sku or "1"]["title"], items[sku or "1"]["images"]) == ("Mug", ["p.jpg", "s.jpg"])
    assert counts["rows_merged"] == 2
    items, _ = ingested(tmp_path / "beside", shop, BESIDE_PARENT, group_rows="merge")
    shown = {item_id: (row["title"], row["description"], row["size"], row["images"]) for item_id, row in items.items()}
    assert {name: shown[name] for name in ("2", "3", "4")} == {
        "2": ("Mug - S", "soft", "S", ["s.jpg"]),
        "3": ("Mug - M", "only M", "M", ["p.jpg"]),
        "4": ("Cup", "hard", None, []),
    }
    assert (shown["1"][0], shown["1"][1], shown["1"][3]) == ("Mug", "soft", ["p.jpg"])
