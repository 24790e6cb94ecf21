"""`leave_out` from the file to what is published: counts that add up, on every runner, in any cut of the files."""

import csv
import json
import random
import tomllib
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from exploration import representatives
from export_files import made_products, write_shopify
from train_runs import TINY

from pipelines import cli
from pipelines.console.thresholds import GateThresholds
from pipelines.gates.counts import check_quarantine, check_row_count
from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig
from pipelines.operations.doctor.job import DoctorConfig, diagnose
from pipelines.operations.verify.job import verify_run
from pipelines.run.accounting import account, summary
from pipelines.store import store
from pipelines.train.job import TrainConfig, identity
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.reading.input_files import count_rows

pytestmark = pytest.mark.slow

OPTIONS = PipelineOptions(["--runner=FnApiRunner"])
HEADER = ("Handle", "SKU", "Title", "Size", "Image", "Status", "Published")
LEAVE_OUT = {"leave_out": {"Status": ["draft", "archived"], "Published": [False]}}
COLUMNS = {"title": "Title", "size": "Size", "images": "Image"}
BY_HANDLE = {**COLUMNS, "item_id": "Handle"}
BY_SKU = {**COLUMNS, "item_id": "SKU", "group": "Handle"}
_WAYS = [(BY_HANDLE, "no"), (BY_HANDLE, "merge"), (BY_SKU, "merge"), (BY_SKU, "share-pictures")]
_NAMES = ["no", "by_handle", "by_sku", "share"]
WAYS = pytest.mark.parametrize(("columns", "group_rows"), _WAYS, ids=_NAMES)
#: Without groups and with, for what all four ways share.
FEW_WAYS = pytest.mark.parametrize(("columns", "group_rows"), representatives(_WAYS, 0, 2), ids=_NAMES)


def write(path: Path, rows: list[dict[str, str]]) -> str:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, HEADER, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def products(seed: int = 3, count: int = 80) -> list[dict[str, str]]:
    """As Shopify writes them: what a product is stands in its first row alone, below it variants and pictures."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        for part in range(rng.randint(1, 4)):
            row = {"Handle": f"p{number}", "Image": f"{number}-{part}.jpg"}
            if part == 0:
                row |= {"Title": f"Thing {number}", "Status": rng.choice(["active", "Draft", "archived "])}
                row |= {"Published": rng.choice(["true", "true", "FALSE"])}
            if part == 0 or rng.random() < 0.7:
                sku = f"s{number}-{part}" + ("x" * 600 if part == 0 and number % 9 == 0 else "")  # no id of ours
                row |= {"SKU": sku, "Size": rng.choice("SML")}
            rows.append(row)
    return rows


def that_stay(rows: list[dict[str, str]], whole_products: bool) -> list[dict[str, str]]:
    """The rows without drafts, by hand: what the first row of a product says holds for all of them, or for itself."""
    said = {row["Handle"]: row for row in rows if "Status" in row}
    of = [said[row["Handle"]] if whole_products else row for row in rows]
    return [
        row
        for row, one in zip(rows, of, strict=True)
        if one.get("Status", "").strip().lower() not in ("draft", "archived") and one.get("Published") != "FALSE"
    ]


def ingested(
    folder: Path, catalog: str, columns: dict[str, Any], options: PipelineOptions = OPTIONS, **flags: Any
) -> tuple[dict[str, bytes], dict[str, int]]:
    """(the files of items, the counts) of a run in the folder; the counts add up."""
    counts = ingest.run(IngestConfig(run=str(folder), catalog=catalog, columns=columns, **flags), options)["counts"]
    parts = ("written", "collapsed", "merged", "left_out", "quarantined")
    assert counts["rows_read"] == sum(counts.get(f"rows_{part}", 0) for part in parts)
    return {path.name: path.read_bytes() for path in sorted((folder / "items").iterdir())}, counts


@WAYS
def test_items_are_those_of_the_export_without_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: dict[str, Any], group_rows: str
) -> None:
    rows = products()
    stay = that_stay(rows, group_rows != "no")
    assert 20 < len(stay) < len(rows) - 20
    whole = write(tmp_path / "c.csv", rows)
    (tmp_path / "parts").mkdir()
    for number in range(3):
        write(tmp_path / "parts" / f"{number}.csv", rows[number * 70 : (number + 1) * 70 if number < 2 else None])
    expected, others = ingested(tmp_path / "want", write(tmp_path / "w.csv", stay), columns, group_rows=group_rows)
    asked = {**columns, **LEAVE_OUT}
    in_threads = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]
    runs = [
        (whole, ["--runner=FnApiRunner"]),
        (whole, ["--runner=BundleBasedDirectRunner"]),
        (str(tmp_path / "parts"), ["--runner=FnApiRunner", *in_threads]),
    ]
    found = []
    for number, (catalog, options) in enumerate(runs):
        items, counts = ingested(
            tmp_path / f"run-{number}", catalog, asked, PipelineOptions(options), group_rows=group_rows
        )
        assert items == expected
        assert counts["rows_left_out"] == len(rows) - len(stay)
        assert counts["rows_read"] == len(rows)
        found.append(counts)
        monkeypatch.setattr("schemas.reading.rows.MAX_BATCH_ROWS", 7)
    assert found[0] == found[1] == found[2]
    more = {"rows_read": len(rows), "rows_left_out": len(rows) - len(stay)}
    assert found[0] == {**others, **more}


@FEW_WAYS
def test_a_lost_bucket_is_written_again_and_counts_the_same(
    tmp_path: Path, columns: dict[str, Any], group_rows: str
) -> None:
    catalog = write(tmp_path / "c.csv", [*products(), {"Status": "draft"}, {"Title": "of nothing"}])
    asked = {**columns, **LEAVE_OUT}
    first = ingested(tmp_path / "run", catalog, asked, group_rows=group_rows)
    for sidecar in sorted((tmp_path / "run" / "units" / "items").iterdir()):
        lost = sidecar.read_bytes()
        sidecar.unlink()
        assert ingested(tmp_path / "run", catalog, asked, group_rows=group_rows) == first
        assert sidecar.read_bytes() == lost


@FEW_WAYS
def test_a_filter_of_which_no_row_has_anything_gives_the_same_items_and_counts(
    tmp_path: Path, columns: dict[str, Any], group_rows: str
) -> None:
    catalog = write(tmp_path / "c.csv", products())
    plain = ingested(tmp_path / "plain", catalog, columns, group_rows=group_rows)
    asked = {**columns, "leave_out": {"Status": ["nobody's"]}}
    assert ingested(tmp_path / "asked", catalog, asked, group_rows=group_rows) == plain
    assert "rows_left_out" not in plain[1]


@FEW_WAYS
def test_a_filter_that_leaves_nothing_says_so(tmp_path: Path, columns: dict[str, Any], group_rows: str) -> None:
    catalog = write(tmp_path / "c.csv", that_stay(products(), whole_products=True))
    asked = {**columns, "leave_out": {"Status": ["*"], "Handle": ["*"]}}
    with pytest.raises(ThresholdError, match=r"leave_out in \[columns\] of the config file leaves out all") as raised:
        ingested(tmp_path / "run", catalog, asked, group_rows=group_rows)
    assert f"all {count_rows([catalog])} of" in str(raised.value)
    bad = write(tmp_path / "b.csv", [{"Status": "draft", "Handle": "a", "SKU": "a"}, {"Title": "of nothing"}])
    with pytest.raises(ThresholdError, match=r"none of 2 in .* \(1 null_id, 1 are left out by leave_out\)"):
        ingested(tmp_path / "run-2", bad, {**columns, **LEAVE_OUT}, group_rows=group_rows)


def test_a_column_that_the_table_lacks_is_a_usage_error_before_any_work(tmp_path: Path) -> None:
    catalog = write(tmp_path / "c.csv", products())
    config = IngestConfig(
        run=str(tmp_path / "r"), catalog=catalog, columns={**BY_HANDLE, "leave_out": {"status": ["x"]}}
    )
    with pytest.raises(UsageError, match="is it 'Status'"):
        ingest.plan_ingest(config)
    (tmp_path / "shop.toml").write_text(
        '[columns]\nitem_id = "Handle"\ntitle = "Title"\nimages = ""\nleave_out = {state = ["x"]}\n'
    )
    flags = ["--config", str(tmp_path / "shop.toml"), "--catalog", catalog, "--store", str(tmp_path / "s")]
    for command in ("daily", "train"):
        assert cli.main([command, *flags, "--date", "2026-06-30", "--image-root", str(tmp_path)]) == 2


def test_what_was_left_out_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    catalog = write(tmp_path / "c.csv", products())
    ways = [{}, {"leave_out": {}}, LEAVE_OUT, {"leave_out": {"Status": ["draft"]}}]
    configs = [IngestConfig(run="r", catalog=catalog, columns={**BY_HANDLE, **way}) for way in ways]
    found = [ingest.plan_ingest(config).fingerprint for config in configs]
    assert found[0] == found[1]
    assert len(set(found)) == 3
    trained = [
        identity(TrainConfig(catalog=catalog, store="s", date="2026-06-30", columns={**BY_HANDLE, **way}))
        for way in (ways[0], *ways[2:])
    ]
    assert trained[0] != trained[1] != trained[2] != trained[0]


def test_what_is_left_out_is_in_the_sum_and_in_the_lines_for_a_person() -> None:
    embeddings = {"rows_written": 3, "rows_computed": 3, "rows_new": 3}
    items = {"rows_read": 9, "rows_merged": 1, "rows_left_out": 4, "rows_quarantined": 1}
    counts = account({"items": items, "features": {}, "embeddings": embeddings})
    assert counts["rows_left_out"] == 4
    shown = summary({"counts": counts, "accepted": {}}, {}, Path("run"))
    assert "read 9 = published 3 + collapsed 0 + merged 1 + left out 4 + quarantined 1" in shown
    with pytest.raises(CorruptFileError, match=r"rows_left_out \+ rows_quarantined, got .*rows_left_out 5"):
        account({"items": {**items, "rows_left_out": 5}, "features": {}, "embeddings": embeddings})
    none = account({"items": {**items, "rows_left_out": 0, "rows_read": 5}, "features": {}, "embeddings": embeddings})
    assert "rows_left_out" not in none
    assert "left out" not in summary({"counts": none, "accepted": {}}, {}, Path("run"))


def test_the_gate_of_row_counts_tells_what_is_left_out_where_that_has_changed() -> None:
    thresholds = GateThresholds()
    few, many = {"rows_written": 60}, {"rows_written": 100}
    failed = check_row_count(few, many, thresholds, (40, 0))
    assert failed.status == "failed"
    assert "leave_out leaves out 40 rows, yesterday 0" in failed.message
    assert "where leave_out of [columns] was changed, accept it this once" in failed.remedy
    same = check_row_count(few, many, thresholds, (40, 40))
    assert same == check_row_count(few, many, thresholds)
    assert "leave_out" not in same.message + same.remedy
    assert check_row_count(many, many, thresholds, (40, 0)).status == "passed"


def test_the_share_of_rejected_rows_is_of_those_that_stay() -> None:
    items = {"rows_read": 1_000, "rows_left_out": 900, "rows_quarantined": 60, "rows_written": 40}
    (result,) = check_quarantine(items, None, None, GateThresholds())
    assert (result.status, result.value) == ("failed", 0.6)
    assert "60 of 100 rows" in result.message
    assert "(rows read - rows left out)" in result.formula
    (plain,) = check_quarantine({**items, "rows_left_out": 0}, None, None, GateThresholds())
    assert (plain.value, "left out" in plain.formula) == (0.06, False)


def test_a_text_that_no_row_has_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the job and by doctor: a slip as a warning, a word for another day in passing."""
    catalog = write(tmp_path / "c.csv", products())
    for texts, is_warned in ((["Drafts", "archived"], True), (["draft", "archived", "sold for good"], False)):
        columns = {**BY_HANDLE, "leave_out": {"Status": texts}}
        ingest.run(IngestConfig(run=str(tmp_path / texts[0]), catalog=catalog, columns=columns), OPTIONS)
        out, err = capsys.readouterr()
        told = next(line for line in (out + err).splitlines() if "leave_out: " in line)
        assert ("WARNING" in told, "should 'drafts' be 'draft'?" in told) == (is_warned, is_warned)
        found = diagnose(DoctorConfig(catalog=catalog, image_root=str(tmp_path), columns=columns))
        (mapping,) = (finding for finding in found if finding.check == "columns of catalogue")
        assert ("on none of" in "".join(mapping.warnings), "on none of" in mapping.looked_at) == (
            is_warned,
            not is_warned,
        )


@FEW_WAYS
def test_doctor_tells_how_many_are_left_out(tmp_path: Path, columns: dict[str, Any], group_rows: str) -> None:
    rows = products()
    config = DoctorConfig(
        catalog=write(tmp_path / "c.csv", rows),
        image_root=str(tmp_path),
        columns={**columns, **LEAVE_OUT},
        group_rows=group_rows,
    )
    found = {finding.check: finding for finding in diagnose(config)}
    assert not found["columns of catalogue"].problems
    num_gone = len(rows) - len(that_stay(rows, group_rows != "no"))
    told = found["sample"].looked_at
    assert f"of the first {len(rows):,} rows ({num_gone:,} are left out by leave_out)" in told
    all_gone = {**columns, "leave_out": {"Handle": ["*"]}}
    problems = [p for f in diagnose(DoctorConfig(**{**vars(config), "columns": all_gone})) for p in f.problems]
    assert any(f"leaves out all {len(rows)}" in problem for problem in problems)


def test_a_day_of_a_shopify_export_publishes_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """init's line uncommented; then training and a day by the file that it wrote."""
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    made = made_products(2, 40, [f"images/{number}.jpg" for number in range(90)])
    write_shopify(Path("products_export.csv"), made)
    with open("products_export.csv", newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    drafts = {product.handle for product in made[::4]}
    for row in rows:
        row["Status"] = "draft" if row["Status"] and row["Handle"] in drafts else row["Status"]
    with open("products_export.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert cli.main(["init", "--from", "shopify", "products_export.csv"]) == 0
    text = Path("shop.toml").read_text()
    assert "# ? Status: draft in 10 rows. They are items too" in text
    changed = {"image_encoder": 'image_encoder = "none"', "images": 'images = ""'}
    lines = [changed.get(line.partition(" = ")[0], line) for line in text.splitlines()]
    lines = [line.removeprefix("# ") if line.startswith("# leave_out") else line for line in lines]
    Path("shop.toml").write_text("\n".join(lines))
    assert tomllib.loads(Path("shop.toml").read_text())["columns"]["leave_out"] == {"Status": ["draft", "archived"]}
    call = ["--config", "shop.toml", "--date", "2026-06-30"]
    assert cli.main(["train", *call, *TINY]) == 0, capsys.readouterr()
    capsys.readouterr()
    assert cli.main(["daily", *call]) == 0, capsys.readouterr()
    num_gone = sum(row["Handle"] in drafts for row in rows)
    assert f"+ left out {num_gone} + quarantined 0" in capsys.readouterr().out
    run = store.current_run("store")
    published = set(ds.dataset(run / "items").to_table()["item_id"].to_pylist())
    assert published == {product.handle for product in made} - drafts
    counts = json.loads((run / "manifest.json").read_text())["counts"]
    assert (counts["rows_left_out"], counts["rows_published"]) == (num_gone, 30)
    assert not [problem for finding in verify_run(Path("store"), run) for problem in finding.problems]
