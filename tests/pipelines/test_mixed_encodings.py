"""A text file that goes on in another encoding: a cell that is not UTF-8 costs itself alone, and its place is told."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig

pytestmark = pytest.mark.medium

NUM_GOOD = 30_000
LINE = "S-{0},Größe {0},eine schöne Tasse für Tee und Kaffee aus weißem Ton\n"


def test_the_bad_cells_are_in_the_quarantine_with_their_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = "item_id,title,description\n" + "".join(LINE.format(number) for number in range(NUM_GOOD))
    bad = "S-a,Größe a,cup\nS-b,mug,schön\nS-c,mug,cup\nS-ü,mug,cup\n"
    assert len(good.encode()) > 2 << 20
    Path("c.csv").write_bytes(good.encode() + bad.encode("cp1252") + LINE.format("z").encode())
    config = IngestConfig(run="run", catalog="c.csv")
    counts = ingest.run(config, PipelineOptions(["--runner=FnApiRunner"]))["counts"]
    assert (counts["rows_read"], counts["rows_written"]) == (NUM_GOOD + 5, NUM_GOOD + 4)
    assert (counts["rows_quarantined"], counts["cells_quarantined"]) == (1, 2)
    assert (counts["cells_unreadable:title"], counts["cells_unreadable:description"]) == (1, 1)
    items = pa.concat_tables([pq.read_table(path) for path in sorted(Path("run/items").iterdir())])
    rows = {row["item_id"]: (row["title"], row["description"]) for row in items.to_pylist()}
    assert (rows["S-a"], rows["S-b"], rows["S-c"]) == ((None, "cup"), ("mug", None), ("mug", "cup"))
    assert rows["S-z"][0] == "Größe z"
    quarantine = pa.concat_tables([pq.read_table(path) for path in sorted(Path("run/quarantine").iterdir())])
    told = {row["where"]: (row["level"], row["item_id"], row["expected"]) for row in quarantine.to_pylist()}
    assert told == {
        f"c.csv:{NUM_GOOD + 2}": ("cell", "S-a", "UTF-8 in title"),
        f"c.csv:{NUM_GOOD + 3}": ("cell", "S-b", "UTF-8 in description"),
        f"c.csv:{NUM_GOOD + 5}": ("row", None, "UTF-8 in item_id"),
    }
    assert all("[format] encoding" in remedy for remedy in quarantine["remedy"].to_pylist())
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "WARNING" in line]
    assert warning.startswith(
        "items: WARNING: 2 rows stay without a cell that cannot be read; the quarantine has each. Of one, c.csv:3000"
    )
    assert warning.endswith("[format] encoding")


def test_a_row_that_is_left_out_has_no_bad_cell(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(
        "item_id,title,Status\nä,ä,on\na,ä,draft\nb,c,on\n".encode("cp1252") + "d,é\n".encode()
    )
    columns = {"leave_out": {"Status": ["draft"]}}
    config = IngestConfig(run=str(tmp_path / "run"), catalog=str(tmp_path / "c.csv"), columns=columns)
    counts = ingest.run(config, PipelineOptions(["--runner=FnApiRunner"]))["counts"]
    assert (counts["rows_left_out"], counts["rows_written"]) == (1, 1)
    assert "cells_quarantined" not in counts
