"""Where a Beam job is called from does not matter to its workers: they have working folders of their own."""

import dataclasses
import os
import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from random_models import save_random_model

from pipelines import daily, embed, features, index, ingest, pairs, train, users, vocabulary
from pipelines.console.jobs import parse
from pipelines.console.paths import LocalPath, as_given, given_values, path_fields, with_absolute_paths
from pipelines.embed import EmbedConfig
from pipelines.features import FeaturesConfig
from pipelines.index import IndexConfig
from pipelines.ingest import IngestConfig
from pipelines.operations.backfill import BackfillConfig, config_of_day
from pipelines.pairs_plan import PairsConfig
from pipelines.user_config import UsersConfig
from pipelines.vocabulary import VocabularyConfig
from schemas.errors import UsageError
from schemas.files import read_json
from schemas.sample_shop.generate import generate
from schemas.tables import TEXT_FIELDS

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


def day(shop: str, earlier: str | None) -> list[tuple[object, type, list[str]]]:
    """(module, config, flags) of the stages of a day with pictures."""
    log = [f"--engagements={shop}/engagements.parquet", f"--date={DATE}"]
    saved = [f"--vocabulary={shop}/model/vocabulary", f"--image-encoder-folder={shop}/model/image_encoder"]
    reuse = [] if earlier is None else [f"--reuse-from={earlier}"]
    return [
        (ingest, IngestConfig, [f"--catalog={shop}/cat*.parquet", "--num-buckets=2"]),
        (vocabulary, VocabularyConfig, []),
        (features, FeaturesConfig, [f"--image-root={shop}", "--image-dtype=float32", *saved, *reuse]),
        (pairs, PairsConfig, [f"--image-root={shop}", "--split=query_hash", *log, *saved]),
        (embed, EmbedConfig, [f"--model={shop}/model", *reuse]),
        (index, IndexConfig, reuse),
        (users, UsersConfig, [*log, *reuse]),
    ]


def day_of_texts(shop: str, earlier: str | None) -> list[tuple[object, type, list[str]]]:
    """The same up to the pairs, without pictures; the folder of pictures is left to its default."""
    log = [f"--engagements={shop}/engagements.parquet", f"--date={DATE}"]
    return [
        (ingest, IngestConfig, [f"--catalog={shop}/texts.parquet", "--num-buckets=2"]),
        (vocabulary, VocabularyConfig, []),
        (features, FeaturesConfig, ["--image-encoder=none"]),
        (pairs, PairsConfig, ["--split=query_hash", *log]),
    ]


def files_of(folder: Path) -> dict[str, bytes]:
    """All that the jobs left, but for times."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "times.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize(("stages", "num_days"), [(day, 2), (day_of_texts, 1)])
def test_relative_paths_are_of_the_folder_that_the_call_was_made_from(stages, num_days, shop, tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()

    def run_days(runs: str, shop: str) -> dict[str, bytes]:
        """What is left of days whose flags were read in `home` and whose jobs are defined and run in `elsewhere`."""
        monkeypatch.chdir(home)
        calls = []
        for number in range(num_days):
            run, earlier = f"{runs}/day-{number}/run", f"{runs}/day-{number - 1}/run" if number else None
            for module, config_class, flags in stages(shop, earlier):
                calls.append((module, *parse(config_class, [f"--run={run}", *flags], "itemsage x", "")))
        monkeypatch.chdir(elsewhere)
        for module, config, options in calls:
            module.run(config, options)
        return files_of(home / runs)

    expected = run_days(f"{home}/absolute", str(shop))
    found = run_days("relative", os.path.relpath(shop, home))
    assert len(expected) > 20 * num_days
    assert [name for name in sorted(expected | found) if expected.get(name) != found.get(name)] == []
    assert list(elsewhere.iterdir()) == []
    if num_days > 1:
        reused = {"features": "items_reused", "embeddings": "rows_reused", "users": "users_reused"}
        manifests = home / "relative" / "day-1" / "run" / "manifests"
        assert all(read_json(manifests / f"{stage}.json")["counts"][name] > 10 for stage, name in reused.items())


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
    assert train._identity(trained) == train._identity(train.TrainConfig(**given))
