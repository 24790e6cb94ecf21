"""Rows of a delimited text whose cells are all blank, as spreadsheets save them: no items, no rejections; counted."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig
from pipelines.log.engagement_log import LogConfig
from pipelines.log.engagement_log import run as run_log
from pipelines.run.accounting import account, summary
from pipelines.run.units import read_stage_manifest
from schemas.columns.raw_rows import BLANK_ROWS
from schemas.errors import ThresholdError
from schemas.reading.rows import plan_slices, read_slice

OPTIONS = PipelineOptions(["--runner=FnApiRunner"])
GOOD = "A-1,Red mug,a.jpg\n"


def read(path: Path) -> tuple[list[tuple[int, str]], list[int], int]:
    """((number, id) of each row, numbers of the broken ones, how many are blank)."""
    rows, broken, num_blank = [], [], 0
    for part in plan_slices([str(path)]):
        for raw in read_slice(part, {}):
            rows += zip(raw.row_numbers.tolist(), raw.table["item_id"].to_pylist(), strict=True)
            broken += [number for number, _ in raw.broken]
            num_blank += raw.no_rows.get(BLANK_ROWS, 0)
    return rows, broken, num_blank


@pytest.mark.parametrize(
    "blank", [",,\n", " , ,\t\n", '"","",\n', '"", ,"\n"\n', ",,,,,,,\n", ",\n", "   \n", "\t\n", ",,\r\n"]
)
def test_blank_rows_of_any_width_are_none_and_are_counted(tmp_path: Path, blank: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text("item_id,title,images\n" + blank + GOOD + blank * 3 + "A-2,x,y\nA-3\n" + blank, newline="")
    rows, broken, num_blank = read(path)
    lines = path.read_text().split("\n")
    assert rows == [(lines.index("A-1,Red mug,a.jpg") + 1, "A-1"), (lines.index("A-2,x,y") + 1, "A-2")]
    assert (broken, num_blank) == ([lines.index("A-3") + 1], 5)


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_blank_rows_of_other_separators(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(("item_id,title,images\n,,\n" + GOOD + ",,\n").replace(",", separator))
    assert read(path) == ([(3, "A-1")], [], 2)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_line_ends_alone_are_not_counted_and_rows_without_an_id_are_no_blank_ones(
    tmp_path: Path, line_end: str
) -> None:
    path = tmp_path / "c.csv"
    lines = ["item_id,title,images,price", "", "A-1,x,y,", "", ",,,9.90", ",,y,", ""]
    path.write_text(line_end.join(lines), newline="")
    assert read(path) == ([(3, "A-1"), (5, None), (6, None)], [], 0)


def ingested(folder: Path, catalog: Path, **flags: Any) -> dict[str, int]:
    manifest = ingest.run(IngestConfig(run=str(folder), catalog=str(catalog), num_buckets=5, **flags), OPTIONS)
    return manifest["counts"]


def shop(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a.csv").write_text("item_id,title,images,kin\n" + GOOD.replace("\n", ",k\n") + ",,,\n" * 30)
    (folder / "b.csv").write_text("item_id,title,images,kin\n,,,\n" * 1 + "A-2,x,y,k\n,no id,,\n")
    (folder / "c.csv").write_text("item_id,title,images,kin\n" + ",,,\n" * 3)
    return folder


@pytest.mark.medium
@pytest.mark.parametrize(
    "flags", [{}, {"group_rows": "merge"}, {"group_rows": "merge", "columns": {"group": "kin"}}], ids=str
)
def test_the_manifest_counts_them_and_they_are_not_read(
    tmp_path: Path, flags: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    counts = ingested(tmp_path / "run", shop(tmp_path / "shop"), **flags)
    assert counts["rows_blank"] == 34
    assert (counts["rows_read"], counts["rows_written"], counts["rows_quarantined"]) == (3, 2, 1)
    assert "rows blank 34" in capsys.readouterr().out
    tables = [pq.read_table(path) for path in (tmp_path / "run" / "quarantine").iterdir()]
    assert pa.concat_tables(tables)["where"].to_pylist() == ["b.csv:4"]


@pytest.mark.medium
def test_a_bucket_that_was_lost_counts_the_same_again(tmp_path: Path) -> None:
    catalog = shop(tmp_path / "shop")
    counts = ingested(tmp_path / "run", catalog)
    for sidecar in sorted((tmp_path / "run" / "units" / "items").iterdir()):
        lost = sidecar.read_bytes()
        sidecar.unlink()
        assert ingested(tmp_path / "run", catalog) == counts
        assert sidecar.read_bytes() == lost


def test_without_any_the_counts_are_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("item_id,title,images\n" + GOOD)
    assert "rows_blank" not in ingested(tmp_path / "run", tmp_path / "c.csv")


def test_nothing_but_blank_rows_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("item_id,title,images\n,,\n,,\n")
    with pytest.raises(ThresholdError, match=r"none of 0 in .* \(2 are blank\)"):
        ingested(tmp_path / "run", tmp_path / "c.csv")


def test_a_catalogue_of_a_header_alone_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("item_id,title,images\n")
    with pytest.raises(ThresholdError, match="has no rows: see whether its export is whole") as raised:
        ingested(tmp_path / "run", tmp_path / "c.csv")
    assert "null ids" not in str(raised.value)
    assert "quarantine" not in str(raised.value)


def test_a_run_tells_them_beside_what_adds_up() -> None:
    items = {"rows_read": 3, "rows_written": 3, "rows_blank": 1_200}
    counts = account(
        {"items": items, "features": {}, "embeddings": {"rows_written": 3, "rows_computed": 3, "rows_new": 3}}
    )
    assert counts["rows_blank"] == 1_200
    shown = summary({"counts": counts, "accepted": {}}, {}, Path("run"))
    assert "rows     read 3 = published 3 + collapsed 0 + quarantined 0; 1,200 blank rows are none" in shown
    without = account(
        {
            "items": {**items, "rows_blank": 0},
            "features": {},
            "embeddings": {"rows_written": 3, "rows_computed": 3, "rows_new": 3},
        }
    )
    assert "rows_blank" not in without
    assert "blank" not in summary({"counts": without, "accepted": {}}, {}, Path("run"))


def test_a_log_counts_them_too(tmp_path: Path) -> None:
    shop(tmp_path / "shop")
    ingested(tmp_path / "run", tmp_path / "shop")
    event = "2026-06-20T10:00:00Z,u,s,home,,A-1,click\n"
    (tmp_path / "log.csv").write_text(
        "timestamp,user_id,session_id,surface,query,item_id,action\n" + event + ",,,,,,\n" * 4
    )
    run_log(LogConfig(run=str(tmp_path / "run"), engagements=str(tmp_path / "log.csv"), date="2026-06-20"), OPTIONS)
    counts = read_stage_manifest(str(tmp_path / "run"), "log")["counts"]
    assert (counts["rows_blank"], counts["rows_read"], counts["rows_quarantined"]) == (4, 1, 0)
