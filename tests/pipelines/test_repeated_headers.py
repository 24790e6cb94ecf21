"""The header of a delimited text once more further down, as joined files have it: no row and no item; counted."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig
from pipelines.log.engagement_log import LogConfig
from pipelines.log.engagement_log import run as run_log
from pipelines.run.units import read_stage_manifest
from schemas.columns.raw_rows import BLANK_ROWS, REPEATED_HEADERS
from schemas.errors import ThresholdError
from schemas.reading.rows import plan_slices, read_slice

OPTIONS = PipelineOptions(["--runner=FnApiRunner"])
HEADER = "item_id,title,images"


def read(path: Path) -> tuple[list[str], int, int]:
    """(ids, how many rows are headers, how many are blank)."""
    ids, counts = [], {REPEATED_HEADERS: 0, BLANK_ROWS: 0}
    for part in plan_slices([str(path)]):
        for raw in read_slice(part, {}):
            ids += raw.table["item_id"].to_pylist()
            assert not raw.broken
            for name in counts:
                counts[name] += raw.no_rows.get(name, 0)
    return ids, counts[REPEATED_HEADERS], counts[BLANK_ROWS]


@pytest.mark.parametrize(
    "again",
    [HEADER, '"item_id","title","images"', "Item_ID,TITLE,Images", f"\ufeff{HEADER}", '\ufeff"item_id",title,images'],
)
def test_the_header_once_more_is_no_row_however_it_is_written(tmp_path: Path, again: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"{HEADER}\n1,mug,a.jpg\n{again}\n,,\n2,pot,b.jpg\n{again}\n", encoding="utf-8")
    assert read(path) == (["1", "2"], 2, 1)


@pytest.mark.parametrize("other", ["item_id,title,title", "item_id,mug,images", "x,title,images"])
def test_a_row_that_has_some_of_the_names_is_a_row(tmp_path: Path, other: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"{HEADER}\n1,mug,a.jpg\n{other}\n")
    assert read(path) == (["1", other.partition(",")[0]], 0, 0)


def test_of_one_column_its_name_is_a_value(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("item_id\n1\nitem_id\n")
    assert read(path) == (["1", "item_id"], 0, 0)


@pytest.mark.medium
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_joined_parts_have_the_rows_of_the_parts(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    folder = tmp_path_factory.mktemp("parts")
    parts = [
        "".join([f"{HEADER}\n", *(f"{number}-{row},mug,a.jpg\n" for row in range(size))])
        for number, size in enumerate(sizes)
    ]
    expected = [f"{number}-{row}" for number, size in enumerate(sizes) for row in range(size)]
    (folder / "c.csv").write_text("".join(parts))
    (folder / "c.csv.gz").write_bytes(b"".join(gzip.compress(part.encode()) for part in parts))
    for name in ("c.csv", "c.csv.gz"):
        assert read(folder / name) == (expected, len(sizes) - 1, 0)


def test_a_part_without_rows_has_none(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(f"{HEADER}\n{HEADER}\n1,mug,a.jpg\n{HEADER}\n{HEADER}\n2,pot,b.jpg\n{HEADER}\n")
    assert read(tmp_path / "c.csv")[0] == ["1", "2"]


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_of_other_separators(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"{HEADER}\n1,mug,a.jpg\n{HEADER}\n2,pot,b.jpg\n".replace(",", separator))
    assert read(path) == (["1", "2"], 1, 0)


def ingested(folder: Path, catalog: Path, **flags: Any) -> dict[str, int]:
    return ingest.run(IngestConfig(run=str(folder), catalog=str(catalog), num_buckets=3, **flags), OPTIONS)["counts"]


def test_the_run_counts_them_and_what_is_read_adds_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = f"{HEADER}\n" + "".join(f"%d{number},mug,a.jpg\n" for number in range(5))
    (tmp_path / "c.csv").write_text("".join(part.replace("%d", str(number)) for number in range(3)))
    counts = ingested(tmp_path / "run", tmp_path / "c.csv")
    assert (counts["rows_read"], counts["rows_written"], counts["rows_collapsed"]) == (15, 15, 0)
    assert counts[REPEATED_HEADERS] == 2
    assert "rows repeated header 2" in capsys.readouterr().out
    ids = pq.read_table(tmp_path / "run" / "items", columns=["item_id"])["item_id"].to_pylist()
    assert "item_id" not in ids
    shown = ingest.Ingest.told({**counts, "rows_published": 15})
    assert shown.endswith("; 2 repeat the header\n")


def test_nothing_but_headers_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(f"{HEADER}\n" * 3)
    with pytest.raises(ThresholdError, match=r"none of 0 in .* \(2 repeat the header\)"):
        ingested(tmp_path / "run", tmp_path / "c.csv")


def test_a_log_counts_them_too(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(f"{HEADER}\n1,mug,a.jpg\n")
    ingested(tmp_path / "run", tmp_path / "c.csv")
    part = "timestamp,user_id,session_id,surface,query,item_id,action\n2026-06-20T10:0%d:00Z,u,s,home,,1,click\n"
    (tmp_path / "log.csv").write_text("".join(part.replace("%d", str(number)) for number in range(4)))
    run_log(LogConfig(run=str(tmp_path / "run"), engagements=str(tmp_path / "log.csv"), date="2026-06-20"), OPTIONS)
    counts = read_stage_manifest(str(tmp_path / "run"), "log")["counts"]
    assert (counts[REPEATED_HEADERS], counts["rows_read"], counts["rows_quarantined"]) == (3, 4, 0)
