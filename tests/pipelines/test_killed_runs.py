"""Killed runs: readers see exactly the old run or the new one whatever was written when SIGKILL came, and the same call
ends in equal bytes.

`make test` kills once at each kind of write, `make soak` both before and after each file and at 30 random moments.
"""

import json
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from exploration import seed_to_explore, soak
from fault_bench import clicks_alone
from train_runs import SMALL

from pipelines.serving.searcher import Searcher
from pipelines.store import history, store
from pipelines.store.models import ITEM_MODELS
from schemas.records.embeddings import read_embeddings
from schemas.records.users import read_users
from schemas.sample_shop.generate import generate

DAY_BEFORE, DAY = "2026-06-29", "2026-06-30"
BUCKET, USERS_BUCKET = "bucket-00001-of-00003", "bucket-00001-of-00004"
RUN = f"*/runs/{DAY}/{'?' * 16}"
#: Leaves out about a sixth of this shop's 50 items, and some of the day before's 23.
REFINE_COSINE = "0.94"
#: All that is written, in the order of a run.
WRITTEN = [
    f"{RUN}/started.json",
    f"{RUN}/items/{BUCKET}.parquet",
    f"{RUN}/quarantine/items-*.parquet",
    f"{RUN}/units/items/{BUCKET}.json",
    f"{RUN}/manifests/items.json",
    f"{RUN}/units/log/read-*.json",
    f"{RUN}/manifests/log.json",
    f"{RUN}/features/{BUCKET}.tfrecord",
    f"{RUN}/fingerprints/{BUCKET}.parquet",
    f"{RUN}/units/features/{BUCKET}.json",
    f"{RUN}/units/features/*.json",
    f"{RUN}/manifests/features.json",
    f"{RUN}/embeddings/*.parquet",
    f"{RUN}/units/embeddings/*.json",
    f"{RUN}/index/items.ann",
    f"{RUN}/index/manifest.json",
    f"{RUN}/refined_index/near_duplicates.parquet",
    f"{RUN}/refined_index/items.ann",
    f"{RUN}/refined_index/manifest.json",
    f"{RUN}/units/index/refined.json",
    f"{RUN}/manifests/index.json",
    f"{RUN}/units/users/read-*.json",
    f"{RUN}/users/{USERS_BUCKET}.parquet",
    f"{RUN}/user_actions/{USERS_BUCKET}.parquet",
    f"{RUN}/item_popularity/_buckets/{USERS_BUCKET}.parquet",
    f"{RUN}/units/users/{USERS_BUCKET}.json",
    f"{RUN}/item_popularity/items.parquet",
    f"{RUN}/units/users/popularity.json",
    f"{RUN}/manifests/users.json",
    f"{RUN}/query_pictures/vectors.parquet",
    f"{RUN}/metrics.json",
    f"{RUN}/gates.json",
    f"{RUN}/changes/*.parquet",
    f"{RUN}/manifest.json",
    f"{RUN}/COMPLETED",
    "*/history.jsonl",  # the one file that is appended to
    "*/CURRENT",
]
#: A kill at each kind of write: a record before the work, a unit's sidecar (its data are there), a stage's manifest,
#: what publishes, what is appended to, the pointer.
OF_EACH_KIND = [
    ("after", f"{RUN}/started.json"),
    ("before", f"{RUN}/units/features/{BUCKET}.json"),
    ("before", f"{RUN}/manifests/features.json"),
    ("before", f"{RUN}/COMPLETED"),
    ("within", "*/history.jsonl"),
    ("before", "*/CURRENT"),
]
EVERY_POINT = [(when, pattern) for pattern in WRITTEN for when in ("before", "after")]
KILLS = [*OF_EACH_KIND, *soak(*(point for point in EVERY_POINT if point not in OF_EACH_KIND))]
pytest_plugins = ["fault_fixtures"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """catalog.parquet, and half.parquet with its first half: what the model is trained on."""
    folder = tmp_path_factory.mktemp("shop")
    generate(folder, items=50, seed=3)
    clicks_alone(folder / "engagements.parquet")
    table = pq.read_table(folder / "catalog.parquet")
    pq.write_table(table.slice(0, len(table) // 2), folder / "half.parquet")
    return folder


def train_call(shop: Path, folder: Path) -> list[str]:
    places = ["--catalog", f"{shop}/half.parquet", "--image-root", str(shop), "--store", str(folder)]
    tiny = "--image-encoder efficientnet_lite0 --pseudo-queries 2 --epochs 1 --min-steps 5 --batch-size 32"
    untrained = "--accept-untrained"  # seven steps over half of fifty items make it no better
    log = ["--engagements", f"{shop}/engagements.parquet", "--date", DAY_BEFORE]
    return ["train", *places, *log, "--num-buckets", "3", *tiny.split(), *SMALL, untrained]


def day_call(shop: Path, folder: Path, date: str = DAY) -> list[str]:
    catalog = f"{shop}/{'catalog' if date == DAY else 'half'}.parquet"
    places = ["--catalog", catalog, "--image-root", str(shop), "--store", str(folder), "--date", date]
    doubled = ["--max-row-growth", "2", "--max-drift-auc", "1"]
    refined = ["--refine-cosine", REFINE_COSINE]
    return ["daily", *places, "--engagements", f"{shop}/engagements.parquet", *doubled, *refined]


@pytest.fixture(scope="module")
def trained(shop, commands, tmp_path_factory) -> Path:
    """A store with a model and no run."""
    folder = tmp_path_factory.mktemp("trained")
    assert commands.run(*train_call(shop, folder)) == 0, commands.shown()
    return folder


@pytest.fixture(scope="module")
def day_old(shop, trained, commands, tmp_path_factory) -> Path:
    """The same store with the run of the day before published."""
    folder = copy_of(trained, tmp_path_factory.mktemp("day-old") / "store")
    assert commands.run(*day_call(shop, folder, DAY_BEFORE)) == 0, commands.shown()
    return folder


@pytest.fixture(scope="module")
def uninterrupted(shop, day_old, commands, tmp_path_factory) -> tuple[dict[str, bytes], float]:
    """Files of the run that nobody interrupted, and its seconds."""
    folder = copy_of(day_old, tmp_path_factory.mktemp("uninterrupted") / "store")
    started_s = time.monotonic()
    assert commands.run(*day_call(shop, folder)) == 0, commands.shown()
    seconds = time.monotonic() - started_s
    files = files_of(store.current_run(str(folder)))
    assert sum(name.startswith("features/") for name in files) == 3
    single = {"embeddings/part-00000-of-00001.parquet", "index/items.ann", "item_popularity/items.parquet"}
    assert single <= files.keys()
    assert sum(name.startswith(("users/", "user_actions/")) for name in files) == 2 * 4
    counts = json.loads(files["manifest.json"])["counts"]
    some = ("pictures_computed", "pictures_reused", "rows_new", "rows_reused", "users_reused", "users_changed")
    assert min(counts[name] for name in some) > 0
    names = ("items.ann", "ids.parquet", "manifest.json", "near_duplicates.parquet")
    assert {name for name in files if name.startswith("refined_index/")} == {f"refined_index/{name}" for name in names}
    refined = json.loads(files["refined_index/manifest.json"])["refined"]
    assert refined["items_removed"] >= 3
    assert refined["items_kept"] > 2 * refined["items_removed"]
    assert "query_pictures/vectors.parquet" in files
    return files, seconds


def copy_of(source: Path, target: Path) -> Path:
    """A store with a life of its own, but for models and training runs, which a daily run only reads."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("models", "training"))
    for name in ("models", "training"):
        (target / name).symlink_to((source / name).resolve())
    return target


def files_of(run: Path) -> dict[str, bytes]:
    names = ("items", "features", "fingerprints", "embeddings", "index", "refined_index", "quarantine", "changes")
    names += ("users", "user_actions", "item_popularity", "query_pictures")
    paths = [path for name in names for path in (run / name).rglob("*") if path.is_file()]
    paths = [path for path in paths if not path.name.startswith(".") and path.name != "times.json"]
    single = ("manifest.json", "metrics.json", "gates.json", "changes.json", "manifests/users.json")
    paths += [run / name for name in single]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in paths}


class Reader(threading.Thread):
    """Reads the published run over and over; `seen` are the runs, each whole, `faults` whatever went wrong."""

    def __init__(self, folder: Path):
        super().__init__(daemon=True)
        self.folder, self.stop, self.faults, self.seen = str(folder), threading.Event(), [], {}

    def run(self) -> None:
        while not self.stop.wait(0.05):
            try:
                run = store.current_run(self.folder)
                ids, _ = read_embeddings(run / "embeddings")
                self.seen.setdefault(run.parent.name, set()).add(len(ids))
                counts = json.loads((run / "manifest.json").read_text())["counts"]
                assert counts["rows_published"] == len(ids)
                refined = [run / "refined_index" / name for name in ("ids.parquet", "near_duplicates.parquet")]
                assert len(ids) == sum(pq.read_metadata(path).num_rows for path in refined)
                files = (run / "users").glob("bucket-*.parquet")
                assert counts["users"] == sum(len(read_users(path)[0].ids) for path in files)
            except Exception as error:  # shown by the test
                self.faults.append(repr(error))

    def finish(self) -> dict[str, set[int]]:
        self.stop.set()
        self.join()
        assert self.faults == []
        assert all(len(sizes) == 1 for sizes in self.seen.values()), self.seen
        return self.seen


@pytest.mark.parametrize(("when", "pattern"), KILLS)
def test_a_killed_day_goes_on_to_equal_bytes(shop, day_old, commands, uninterrupted, figures, tmp_path, when, pattern):
    folder = copy_of(day_old, tmp_path / "store")
    reader = Reader(folder)
    reader.start()
    assert commands.run(*day_call(shop, folder), die=(when, pattern)) == -signal.SIGKILL, commands.shown()
    moved = (when, pattern) == ("after", "*/CURRENT")
    old_run = store.current_run(str(folder))
    assert old_run.parent.name == (DAY if moved else DAY_BEFORE)
    ids, _ = read_embeddings(old_run / "embeddings")
    assert len(Searcher(str(folder)).by_item([ids[0].as_py()], 3)[0]) == 3
    (killed,) = (folder / "runs" / DAY).iterdir()
    sealed = modification_times(killed, "units/*/*.json")
    if not modification_times(killed, "units/users/popularity.json"):
        # Users of a bucket are missing, and with them their actions, which are kept nowhere else: they are read again.
        sealed = {path: moment for path, moment in sealed.items() if "/users/read-" not in path}

    assert commands.run(*day_call(shop, folder)) == 0, commands.shown()
    assert reader.finish().keys() <= {DAY_BEFORE, DAY}
    assert store.current_run(str(folder)) == killed
    assert history.moves(str(folder))[-1].to_run == history.name_of(killed)
    sealed_now = modification_times(killed, "units/*/*.json")
    assert {path: sealed_now[path] for path in sealed} == sealed, "computed again instead of read"
    assert_same(files_of(killed), uninterrupted[0])
    figures["kill -9, named points survived"] += 1


@pytest.mark.parametrize("number", [0, *soak(*range(1, 30))])
def test_a_day_killed_at_a_random_moment_goes_on_to_equal_bytes(
    shop, day_old, commands, uninterrupted, figures, tmp_path, number
):
    expected, seconds = uninterrupted
    moment_s = float(np.random.default_rng(seed_to_explore("kill", number)).uniform(0.02, 1.1)) * seconds
    folder = copy_of(day_old, tmp_path / "store")
    reader = Reader(folder)
    reader.start()
    assert commands.run(*day_call(shop, folder), die_after_s=moment_s) in (0, -signal.SIGKILL), commands.shown()
    assert commands.run(*day_call(shop, folder)) == 0, commands.shown()
    assert reader.finish().keys() <= {DAY_BEFORE, DAY}
    assert_same(files_of(store.current_run(str(folder))), expected)
    figures["kill -9, random moments survived"] += 1


def assert_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_a_first_day_that_is_killed_publishes_nothing(shop, trained, commands, tmp_path):
    folder = copy_of(trained, tmp_path / "store")
    assert commands.run(*day_call(shop, folder), die=("before", "*/units/embeddings/*.json")) == -signal.SIGKILL
    assert store.current_run_or_none(str(folder)) is None
    assert commands.run(*day_call(shop, folder)) == 0, commands.shown()
    assert store.current_run(str(folder)).parent.name == DAY


@pytest.mark.parametrize(
    ("when", "pattern"), [("before", "*/models/CURRENT"), *soak(("after", "*/training/*/.model/manifest.json"))]
)
def test_a_killed_training_installs_the_same_model(shop, trained, commands, tmp_path, when, pattern):
    assert commands.run(*train_call(shop, tmp_path), die=(when, pattern)) == -signal.SIGKILL, commands.shown()
    assert not (tmp_path / "models" / "CURRENT").exists()
    checkpoints = modification_times(tmp_path, "training/*/*/checkpoints/**/*.safetensors")
    assert checkpoints
    assert commands.run(*train_call(shop, tmp_path)) == 0, commands.shown()
    assert ITEM_MODELS.current(str(tmp_path)) == ITEM_MODELS.current(str(trained))
    assert [path.name for path in (tmp_path / "models").iterdir() if path.is_dir()] == [
        ITEM_MODELS.current(str(trained))
    ]
    assert modification_times(tmp_path, "training/*/*/checkpoints/**/*.safetensors") == checkpoints


def modification_times(folder: Path, pattern: str) -> dict[str, int]:
    return {path.as_posix(): path.stat().st_mtime_ns for path in folder.glob(pattern)}
