"""Where a Beam job is called from does not matter to its workers: they have working folders of their own."""

import dataclasses
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from python_process import ENVIRONMENT
from random_models import save_random_model

from pipelines.console.jobs import parse
from pipelines.console.paths import LocalPath, as_given, given_values, path_fields, with_absolute_paths
from pipelines.daily import job as daily
from pipelines.embed import job as embed
from pipelines.embed.job import EmbedConfig
from pipelines.features import job as features
from pipelines.features.plan import FeaturesConfig
from pipelines.index import job as index
from pipelines.index.job import IndexConfig
from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig
from pipelines.operations.backfill import BackfillConfig, config_of_day
from pipelines.pairs import job as pairs
from pipelines.pairs.config import PairsConfig
from pipelines.train import job as train
from pipelines.users import job as users
from pipelines.users.config import UsersConfig
from pipelines.vocabulary import job as vocabulary
from pipelines.vocabulary.job import VocabularyConfig
from schemas.errors import UsageError
from schemas.files import read_json
from schemas.sample_shop.generate import generate
from schemas.tables import TEXT_FIELDS

pytestmark = pytest.mark.slow

DATE = "2026-06-30"


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """A shop, its catalogue without pictures beside it, and a model of its words; nothing was changed just now."""
    folder = tmp_path_factory.mktemp("shop")
    generate(folder, items=40, seed=3)
    table = pq.read_table(folder / "catalog.parquet")
    pq.write_table(table.drop_columns(["images"]), folder / "texts.parquet")
    texts = [row[name] for row in table.select(TEXT_FIELDS).to_pylist() for name in TEXT_FIELDS]
    save_random_model(folder, texts, cut_us=2).rename(folder / "model")
    for path in folder.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


Stage = tuple[Any, type, list[str]]  # module, config, flags without --run


def day(shop: str, reuse_from: str | None = None) -> list[Stage]:
    """The stages of a day with pictures, and those of a training run."""
    log = [f"--engagements={shop}/engagements.parquet", f"--date={DATE}"]
    saved = [f"--vocabulary={shop}/model/vocabulary", f"--image-encoder-folder={shop}/model/image_encoder"]
    reuse = [] if reuse_from is None else [f"--reuse-from={reuse_from}"]
    return [
        (ingest, IngestConfig, [f"--catalog={shop}/cat*.parquet", "--num-buckets=2"]),
        (vocabulary, VocabularyConfig, []),
        (features, FeaturesConfig, [f"--image-root={shop}", "--image-dtype=float32", *saved, *reuse]),
        (pairs, PairsConfig, [f"--image-root={shop}", "--split=query_hash", *log, *saved]),
        (embed, EmbedConfig, [f"--model={shop}/model", *reuse]),
        (index, IndexConfig, reuse),
        (users, UsersConfig, [*log, *reuse]),
    ]


def day_of_texts(shop: str) -> list[Stage]:
    """Up to the pairs, without pictures."""
    log = [f"--engagements={shop}/engagements.parquet", f"--date={DATE}"]
    return [
        (ingest, IngestConfig, [f"--catalog={shop}/texts.parquet", "--num-buckets=2"]),
        (vocabulary, VocabularyConfig, []),
        (features, FeaturesConfig, ["--image-encoder=none"]),
        (pairs, PairsConfig, ["--split=query_hash", *log]),
    ]


def differing(folder: Path, other: Path) -> list[str]:
    """Names of files that only one of the folders has, or that differ; but for times."""
    found, expected = (
        {path.relative_to(top): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (folder, other)
    )
    assert len(expected) > 20
    names = sorted(found.keys() | expected.keys())
    return [str(name) for name in names if name.name != "times.json" and found.get(name) != expected.get(name)]


def run_all(run: str, stages: list[Stage], elsewhere: Path, *beam: str) -> None:
    """Reads the flags of the stages here; defines and runs the jobs in `elsewhere`."""
    here = Path.cwd()
    calls = [
        (module, *parse(config_class, [f"--run={run}", *flags, *beam], "itemsage x", ""))
        for module, config_class, flags in stages
    ]
    os.chdir(elsewhere)
    try:
        for module, config, options in calls:
            module.run(config, options)
    finally:
        os.chdir(here)
    assert list(elsewhere.iterdir()) == []


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """An empty folder; the working folder is another one."""
    for name in ("home", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "elsewhere"


@pytest.mark.soak
def test_days_with_pictures(shop, elsewhere):
    there, home = os.path.relpath(shop), Path.cwd()
    run_all("first/run", day(there), elsewhere)
    run_all("second/run", day(there, reuse_from="first/run"), elsewhere)
    run_all(f"{home}/absolute/first/run", day(str(shop)), elsewhere)
    run_all(f"{home}/absolute/second/run", day(str(shop), reuse_from=f"{home}/absolute/first/run"), elsewhere)
    for name in ("first", "second"):
        assert differing(home / name, home / "absolute" / name) == []
    reused = {"features": "items_reused", "embeddings": "rows_reused", "users": "users_reused"}
    manifests = home / "second" / "run" / "manifests"
    assert all(read_json(manifests / f"{stage}.json")["counts"][name] > 10 for stage, name in reused.items())


def test_workers_of_another_process_in_another_folder(shop, elsewhere, worker_pool):
    """A catalogue without pictures, whose folder is left to its default."""
    home = Path.cwd()
    run_all("run", day_of_texts(os.path.relpath(shop)), elsewhere, *worker_pool)
    run_all(f"{home}/absolute/run", day_of_texts(str(shop)), elsewhere)
    assert differing(home / "run", home / "absolute" / "run") == []


@pytest.fixture
def worker_pool(elsewhere) -> Iterator[list[str]]:
    """Beam's flags for external workers, whose working folder is `elsewhere`."""
    code = """
import sys
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
address, server = BeamFnExternalWorkerPoolServicer.start()
print(address, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, cwd=elsewhere, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        runner = ["--runner=PortableRunner", "--job_endpoint=embed"]
        yield [*runner, "--environment_type=EXTERNAL", f"--environment_config={address}"]
        process.kill()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        *(("runs/a", "/runs/a"), ("./a", "/a"), (".//a/./b", "/a/./b"), (".", ""), ("./", ""), ("../a", "/../a")),
        *((".hidden", "/.hidden"), ("c/{date}/day=*/", "/c/{date}/day=*/"), ("a,b", "/a,b"), ("~/a", "/~/a")),
    ],
)
def test_how_a_path_becomes_absolute(given, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = with_absolute_paths(IngestConfig(run="r", catalog=given))
    assert (config.catalog, as_given(config.catalog)) == (f"{tmp_path}{expected}", given)
    assert with_absolute_paths(config) == config
    assert given_values(with_absolute_paths(config)) == dataclasses.asdict(IngestConfig(run="r", catalog=given))


def test_what_is_no_relative_path_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = FeaturesConfig(run="/r", image_root="/a//b/../c", vocabulary="", reuse_from=None)
    made = with_absolute_paths(config)
    assert made == config
    assert not any(isinstance(getattr(made, field.name), LocalPath) for field in path_fields(FeaturesConfig))
    with pytest.raises(UsageError, match="expected a local path for run, got 's3://b/r'"):
        with_absolute_paths(FeaturesConfig(run="s3://b/r"))


def test_a_path_remembers_its_spelling_where_it_is_copied(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = with_absolute_paths(VocabularyConfig(run="runs/a")).run
    for copy in (pickle.loads(pickle.dumps(path)), dataclasses.asdict(VocabularyConfig(run=path))["run"]):
        assert (copy, copy.given) == (f"{tmp_path}/runs/a", "runs/a")


@pytest.fixture
def catalogue(tmp_path, monkeypatch) -> Path:
    """A folder to call from, with a catalogue; its pictures would lie in images/2026-06-30."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / f"{DATE}.csv").write_text("item_id,title\na,b\n")
    monkeypatch.chdir(folder)
    return folder


def test_the_id_of_a_run_and_its_manifest_have_paths_as_they_were_given(catalogue):
    given = {"catalog": f"{DATE}.csv", "image_root": f"images/{DATE}", "store": "store", "date": DATE}
    patterns = [
        word.replace(DATE, "{date}") for word in ("--catalog", given["catalog"], "--image-root", given["image_root"])
    ]
    argv = [*patterns, "--store=store"]
    expected = daily._facts(daily.DailyConfig(**given), "itemsage-000000000001")
    assert expected["config"]["image_root"] == f"images/{DATE}"
    parsed, _ = parse(daily.DailyConfig, [*argv, f"--date={DATE}"], "itemsage daily", "")
    assert parsed.image_root == str(catalogue / given["image_root"])
    assert daily._facts(parsed, "itemsage-000000000001") == expected
    days, _ = parse(BackfillConfig, [*argv, "--from-date=2026-06-01", f"--to-date={DATE}"], "itemsage backfill", "")
    of_day = config_of_day(days, DATE)
    assert of_day == parsed
    assert daily._facts(of_day, "itemsage-000000000001") == expected
    trained, _ = parse(train.TrainConfig, [*argv, f"--date={DATE}"], "itemsage train", "")
    assert train.identity(trained) == train.identity(train.TrainConfig(**given))
