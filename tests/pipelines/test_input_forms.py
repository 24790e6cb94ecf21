"""What a call says of the form of its files ([format], --format) reaches whoever reads them, and what is recognised is
said."""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.console.commands import COMMANDS
from pipelines.console.jobs import narrow, parse, parse_alone
from pipelines.console.paths import with_date
from pipelines.daily.config import DailyConfig
from pipelines.evaluate.job import EvaluateConfig
from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig
from schemas.errors import UsageError
from schemas.files import declared_form, expand_inputs

TOML = """
store = "store"
catalog = "shop/{date}"
engagements = "log"
[format]
separator = "^"
[format.engagements]
type = "tsv"
encoding = "cp1252"
"""
LOG_FORM = {"separator": "^", "type": "tsv", "encoding": "cp1252"}


def toml(folder: Path, text: str) -> str:
    (folder / "shop.toml").write_text(text)
    return str(folder / "shop.toml")


def test_what_the_config_says_goes_with_the_paths_of_the_table(tmp_path: Path) -> None:
    config, _ = parse(DailyConfig, ["--config", toml(tmp_path, TOML), "--date", "2026-01-01"], "itemsage daily", "")
    assert declared_form(config.catalog) == {"separator": "^"}
    assert declared_form(config.engagements or "") == LOG_FORM
    assert config.catalog == str(Path("shop/2026-01-01").absolute())
    stage = narrow(IngestConfig, config, run="run")
    for kept in (
        stage,
        replace(stage, num_buckets=4),
        pickle.loads(pickle.dumps(stage)),
        IngestConfig(**asdict(stage)),
    ):
        assert declared_form(kept.catalog) == {"separator": "^"}
    argv = ["--config", toml(tmp_path, TOML), "--date", "{date}"]
    undated, _ = parse(DailyConfig, argv, "itemsage backfill", "")
    assert declared_form(with_date(undated.catalog, "2026-01-01")) == {"separator": "^"}


def test_the_flag_says_the_kind_of_all_input_files_and_goes_before_the_config(tmp_path: Path) -> None:
    argv = ["--config", toml(tmp_path, TOML), "--format", "csv", "--judgements", "judged"]
    config = parse_alone(EvaluateConfig, argv, "itemsage evaluate", "")
    assert declared_form(config.judgements or "") == {"separator": "^", "type": "csv"}
    assert declared_form(config.engagements or "") == {**LOG_FORM, "type": "csv"}
    text = 'format = "json"\ncatalog = "c"\nrun = "r"\n'
    (one, _), (none, _) = (
        parse(IngestConfig, argv, "itemsage ingest", "")
        for argv in (["--config", toml(tmp_path, text)], ["--run=r", "--catalog=c"])
    )
    assert (declared_form(one.catalog), declared_form(none.catalog)) == ({"type": "json"}, {})


@pytest.mark.parametrize(
    "text", ["[format]\nseparator = 7", "format = 7", '[format]\ntype = "xls"', '[format]\nx = "y"']
)
def test_a_wrong_format_of_the_config_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"format.*shop\.toml|shop\.toml.*format"):
        parse(IngestConfig, ["--run=r", "--catalog=c", "--config", toml(tmp_path, text)], "itemsage ingest", "")


def test_a_table_named_format_is_of_every_command() -> None:
    assert "format" not in COMMANDS


def test_ingest_says_and_records_what_it_recognised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop, run = tmp_path / "shop", tmp_path / "run"
    shop.mkdir()
    (shop / "a.csv").write_text("item_id;title;images\nA-1;Größe;a.jpg\n", encoding="utf-16")
    (shop / "b.csv").write_text("")
    (shop / "README").write_text("see the manual")
    flags = [f"--run={run}", "--num-buckets=1"]
    assert ingest.main([*flags, f"--catalog={shop}"]) == 0
    told = "a.csv: semicolons, UTF-16; b.csv: empty, no rows"
    assert capsys.readouterr().out.count(f"items: {told}\n") == 1
    assert json.loads((run / "manifests" / "items.json").read_text())["input_forms"] == told
    (name,) = expand_inputs(str(run / "items"))
    assert pq.read_table(name)["title"].to_pylist() == ["Größe"]


def test_a_file_without_extension_is_ingested_as_the_flag_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "000000_0").write_text("item_id\ttitle\nA-1\tmug\n")
    flags = [f"--run={tmp_path / 'run'}", "--num-buckets=1", f"--catalog={tmp_path / '000000_0'}"]
    assert ingest.main(flags) == 2
    assert "--format csv|tsv|json|parquet|rss" in capsys.readouterr().err
    assert ingest.main([*flags, "--format", "tsv"]) == 0
    (name,) = expand_inputs(str(tmp_path / "run" / "items"))
    assert pq.read_table(name)["title"].to_pylist() == ["mug"]


def test_a_delta_folder_is_refused_with_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "products" / "_delta_log").mkdir(parents=True)
    (tmp_path / "products" / "part-0.csv").write_text("item_id\nOLD\n")
    assert ingest.main([f"--run={tmp_path / 'run'}", f"--catalog={tmp_path / 'products'}"]) == 2
    assert "the Delta Lake table" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
