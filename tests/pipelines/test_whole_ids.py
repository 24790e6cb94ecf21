"""Ids written as `100.0` in some parts of a folder, by the real jobs: one id wherever its row lies, joined with a
catalogue that calls it 100, and said where the shop should."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from users_runs import finish_embeddings, vectors_of

from pipelines.console.jobs import beam_options
from pipelines.ingest import job as ingest
from pipelines.ingest.job import IngestConfig
from pipelines.log import engagement_log
from pipelines.log.engagement_log import LogConfig

pytestmark = pytest.mark.medium

OPTIONS = PipelineOptions(["--runner=FnApiRunner", "--direct_num_workers=2"])
DATE = "2026-06-30"


def write_parts(folder: Path, parts: Sequence[Sequence[str]]) -> Path:
    folder.mkdir()
    for number, ids in enumerate(parts):
        (folder / f"{number}.csv").write_text("item_id,title\n" + "".join(f"{one},Mug {one}\n" for one in ids))
    return folder


def ids_of(run: Path) -> list[str]:
    return sorted(one for path in run.glob("items/*.parquet") for one in pq.read_table(path)["item_id"].to_pylist())


@pytest.mark.parametrize(
    ("parts", "ids", "count", "told"),
    [
        ([["1", "2"], ["3.0", "4.0"]], ["1", "2", "3", "4"], {"ids_point_dropped:item_id": 2}, "whole = true}; with"),
        ([["1.0", "2.0"], ["A-3", "4.0"]], ["1", "2", "4", "A-3"], {"ids_point_dropped:item_id": 3}, "1 as 'A-3'"),
        ([["1.0", "2.0"], ["2.5"]], ["1.0", "2.0", "2.5"], {"ids_point_kept:item_id": 2}, "whole = false}; with"),
        ([["1.0"], ["2.0"]], ["1", "2"], {"ids_point_dropped:item_id": 2}, ""),
        ([["1"], ["A-2"]], ["1", "A-2"], {}, ""),
    ],
)
def test_the_parts_of_a_catalogue_decide_together(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    parts: Sequence[Sequence[str]],
    ids: list[str],
    count: dict[str, int],
    told: str,
) -> None:
    config = IngestConfig(run=str(tmp_path / "run"), catalog=str(write_parts(tmp_path / "parts", parts)))
    manifest = ingest.run(config, OPTIONS)
    assert ids_of(tmp_path / "run") == ids
    assert {name: n for name, n in manifest["counts"].items() if name.startswith("ids_point")} == count
    said = capfd.readouterr().err
    assert "ids in 'item_id' (item_id) are written in several ways" in said if told else "ids in" not in said
    assert told in said
    other = write_parts(tmp_path / "whole", [[one for part in parts for one in part]])
    ingest.run(IngestConfig(run=str(tmp_path / "other"), catalog=str(other)), OPTIONS)
    assert ids_of(tmp_path / "other") == ids


def test_a_log_of_floats_joins_a_catalogue_of_whole_numbers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    finish_embeddings(tmp_path / "run", vectors_of([str(number) for number in range(7, 17)]))
    (tmp_path / "log").mkdir()
    header = "timestamp,user_id,surface,item_id,action\n"
    (tmp_path / "log" / "0.csv").write_text(header + f"{DATE},100.0,home,7.0,click\n{DATE},guest,home,,click\n")
    columns = {"timestamp": [DATE], "user_id": ["100"], "surface": ["home"], "item_id": ["8.0"], "action": ["save"]}
    pq.write_table(pa.table(columns), tmp_path / "log" / "1.parquet")
    config = LogConfig(run=str(tmp_path / "run"), engagements=str(tmp_path / "log"), date=DATE)
    counts = engagement_log.run(config, beam_options([]))["counts"]
    assert (counts["rows_used"], counts["rows_item_unknown"]) == (2, 0)
    assert (counts["ids_point_dropped:user_id"], counts["ids_point_dropped:item_id"]) == (1, 2)
    said = capfd.readouterr().out
    assert "ids in 'user_id' (user_id) are written in several ways, 1 as '100.0', 1 as '100'" in said
    assert "[columns.engagements] user_id = {source = 'user_id', whole = true}" in said
    assert "ids in 'item_id'" not in said


def test_a_log_whose_points_the_catalogue_lacks_is_told_what_to_write(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    finish_embeddings(tmp_path / "run", vectors_of([str(number) for number in range(7, 17)]))
    header = "timestamp,user_id,surface,item_id,action\n"
    (tmp_path / "log.csv").write_text(header + f"{DATE},u,home,7.0,click\n{DATE},u,home,7.5,click\n")
    config = {"run": str(tmp_path / "run"), "engagements": str(tmp_path / "log.csv"), "date": DATE}
    assert engagement_log.run(LogConfig(**config), beam_options([]))["counts"]["rows_used"] == 0
    assert "'7.0' is '7' there" in (said := capfd.readouterr().out)
    assert "whole = true} makes 7 of 7.0" in said
    whole = {"engagements": {"item_id": {"source": "item_id", "whole": True}}}
    counts = engagement_log.run(LogConfig(**config, columns=whole), beam_options([]))["counts"]
    assert (counts["rows_used"], counts["ids_point_dropped:item_id"]) == (1, 1)
