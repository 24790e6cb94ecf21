"""Incremental equals from scratch: after random days the store holds what a fresh store's run of the last day holds.

ITEMSAGE_DAYS sets how many days (`make soak`: 30). Fresh stores are made on the last day and at every tenth before it.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from exploration import seed_to_explore
from random_models import save_random_model
from train_runs import SMALL_MODEL

from pipelines.console.jobs import beam_options
from pipelines.daily import job as daily
from pipelines.store import store
from pipelines.train import job as train
from schemas.files import read_json
from schemas.sample_shop.generate import generate
from schemas.tables import ENGAGEMENTS, QUARANTINE, REJECTIONS, TEXT_FIELDS, TIMESTAMP

NUM_DAYS = int(os.environ.get("ITEMSAGE_DAYS", "4"))
FIRST_DAY = np.datetime64("2026-07-01")
NUM_ITEMS, NUM_IN_STOCK = 60, 45
#: Regular ones; and the days that count.
NUM_USERS, WINDOW_DAYS = 24, 4
REFINE_COSINE = 0.9
RANDOM = ("plain", "retrained")
MODEL_SINCE = {"plain": 0, "retrained": NUM_DAYS // 3, "new_encoder": 2 * NUM_DAYS // 3}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    generate(folder, items=NUM_ITEMS, seed=7)
    return folder


@pytest.fixture(scope="module")
def models(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A store with three models, two of random weights and one that was trained, of another picture network; their
    ids."""
    folder = tmp_path_factory.mktemp("models")
    rows = pq.read_table(shop / "catalog.parquet").to_pylist()
    texts = [row[name] for row in rows for name in TEXT_FIELDS]
    ids = {name: save_random_model(folder / "models", texts, 2, seed).name for seed, name in enumerate(RANDOM)}
    return folder, {**ids, "new_encoder": trained(shop, folder)}


def trained(shop: Path, folder: Path) -> str:
    return train.run(
        train.TrainConfig(
            catalog=f"{shop}/catalog.parquet",
            engagements=f"{shop}/engagements.parquet",
            image_root=str(shop),
            store=str(folder),
            date="2026-06-30",
            num_buckets=3,
            image_encoder="efficientnet_lite0",
            pseudo_queries=1,
            epochs=1,
            min_steps=4,
            batch_size=32,
            accept_untrained=True,
            **SMALL_MODEL,
        ),
        beam_options([]),
    )


class Shop:
    """A shop that lives: rows come, change and go, pictures are replaced, broken, mended, moved and touched; and people
    act on its items, some every day, some once, some on what has gone."""

    def __init__(self, source: Path, folder: Path, seed: int):
        shutil.copytree(source / "images", folder / "images")
        self.source, self.folder = source, folder
        self.random = np.random.default_rng(seed_to_explore("random days", seed))
        rows = [row for row in pq.read_table(source / "catalog.parquet").to_pylist() if row["item_id"]]
        self.reserve = {row["item_id"]: row for row in rows}
        names = list(self.reserve)
        self.rows = {name: self.reserve[name] for name in names[:NUM_IN_STOCK]}
        self.log: list[dict[str, Any]] = []
        self.clock_ns = 1_000_000_000_000_000_000  # modification times: long past, and never the same twice
        self.done: set[str] = set()
        for path in sorted((folder / "images").rglob("*")):
            self._stamp(path)

    def day(self) -> None:
        """A few random events; every one sooner or later."""
        events = [self._new, self._gone, self._text, self._drop_picture, self._swap, self._touch]
        events += [self._break, self._mend, self._replace, self._remove_file]
        for number in self.random.permutation(len(events))[: self.random.integers(2, 7)]:
            events[number]()
            self.done.add(events[number].__name__)

    def write(self, path: Path) -> None:
        table = pq.read_table(self.source / "catalog.parquet")
        rows = [self.rows[name] for name in self.random.permutation(sorted(self.rows))]  # the order says nothing
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)

    def act(self, date: np.datetime64) -> None:
        """The actions of a day: of a third of the regular users and of new ones; some rows come a day late, some are
        bad. Sometimes a user is forgotten."""
        users = self.random.choice(NUM_USERS, NUM_USERS // 3, replace=False).tolist()
        for user in [*(f"regular {user}" for user in users), f"guest of {date}", None]:
            for item in self.random.choice(sorted(self.reserve), self.random.integers(1, 5)):
                seconds = int(self.random.integers(86_400)) - 86_400 * int(self.random.random() < 0.2)
                self.log.append(
                    {
                        "timestamp": pa.scalar(date + np.timedelta64(seconds, "s")).cast(TIMESTAMP).as_py(),
                        "user_id": user,
                        "surface": "home",
                        "item_id": str(item) if self.random.random() < 0.97 else "",
                        "action": str(self.random.choice(["click", "save", "impression"], p=[0.6, 0.3, 0.1])),
                    }
                )
        if self.random.random() < 0.3:
            forgotten = f"regular {self.random.integers(NUM_USERS)}"
            self.log = [row for row in self.log if row["user_id"] != forgotten]

    def write_log(self, path: Path) -> None:
        """In any order."""
        rows = [self.log[number] for number in self.random.permutation(len(self.log))]
        pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), path)

    def _new(self) -> None:
        away = sorted(self.reserve.keys() - self.rows.keys())
        for name in away[:2]:
            self.rows[name] = self.reserve[name]

    def _gone(self) -> None:
        for name in self._names(2):
            del self.rows[name]

    def _text(self) -> None:
        for name in self._names(3):
            field = str(self.random.choice(TEXT_FIELDS))
            self.rows[name] = {**self.rows[name], field: f"new words {self.random.integers(100)}"}

    def _drop_picture(self) -> None:
        for name in self._names(2):
            self.rows[name] = {**self.rows[name], "images": (self.rows[name]["images"] or [])[1:]}

    def _swap(self) -> None:
        a, b = self._names(2)
        rows = self.rows
        rows[a], rows[b] = {**rows[a], "images": rows[b]["images"]}, {**rows[b], "images": rows[a]["images"]}

    def _touch(self) -> None:
        self._stamp(self._picture())

    def _break(self) -> None:
        path = self._picture()
        path.write_bytes(path.read_bytes()[: int(self.random.integers(0, 400))])
        self._stamp(path)

    def _mend(self) -> None:
        for path in sorted((self.folder / "images").rglob("*")):
            original = self.source / path.relative_to(self.folder)
            if path.is_file() and original.is_file() and path.stat().st_size < original.stat().st_size:
                shutil.copyfile(original, path)
                self._stamp(path)

    def _replace(self) -> None:
        source, target = self._picture(), self._picture()
        if source != target:
            shutil.copyfile(source, target)
            self._stamp(target)

    def _remove_file(self) -> None:
        self._picture().unlink()

    def _names(self, count: int) -> list[str]:
        return self.random.choice(sorted(self.rows), count, replace=False).tolist()

    def _picture(self) -> Path:
        files = [path for path in sorted((self.folder / "images").rglob("*")) if path.is_file()]
        return files[self.random.integers(len(files))]

    def _stamp(self, path: Path) -> None:
        self.clock_ns += 1_000_000_007
        os.utime(path, ns=(self.clock_ns, self.clock_ns))


def run_day(inputs: Path, shop: Shop, folder: Path, date: str, model_id: str) -> Path:
    config = daily.DailyConfig(
        catalog=f"{inputs}/catalog.parquet",
        engagements=f"{inputs}/log.parquet",
        window_days=WINDOW_DAYS,
        alpha=0.5,
        image_root=str(shop.folder),
        store=str(folder),
        date=date,
        model=model_id,
        num_buckets=3,
        refine_cosine=REFINE_COSINE,
        min_refined_kept=0.0,
        max_row_drop=0.9,
        min_kept=0.0,
        max_coverage_drop=1.0,
        max_quarantined_log=1.0,
        max_quarantined_rows=1.0,
        max_quarantined_pictures=1.0,
        min_overlap=0.0,
        max_drift_auc=1.0,
        max_users_drop=1.0,
        max_actions_drop=1.0,
        max_changed_texts=1.0,
    )
    daily.run(config, beam_options([]))
    run = store.current_run(str(folder))
    assert run.parent.name == date
    return run


def files_of(run: Path) -> dict[str, bytes]:
    """What must be equal, whatever the days before: published files, features, items."""
    names = ("items", "features", "embeddings", "index", "refined_index", "users", "user_actions", "item_popularity")
    paths = [path for name in names for path in sorted((run / name).rglob("*")) if path.name != "times.json"]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in paths if path.is_file()}


def rejections_of(run: Path) -> list[dict[str, Any]]:
    tables = [pq.read_table(path) for path in sorted((run / "quarantine").glob("*.parquet"))]
    table = pa.concat_tables([QUARANTINE.empty_table(), *tables])
    return sorted(table.select(REJECTIONS.names).to_pylist(), key=str)


def test_random_days_end_as_a_fresh_store_does(shop, models, figures, tmp_path):
    model_store, ids = models
    folder = tmp_path / "store"
    link_models(model_store, folder)
    (tmp_path / "live").mkdir()
    living = Shop(shop, tmp_path / "live", seed=NUM_DAYS)
    totals: dict[str, int] = {}
    for number in range(NUM_DAYS):
        if number:
            living.day()
        living.act(FIRST_DAY + number)
        living.write(tmp_path / "catalog.parquet")
        living.write_log(tmp_path / "log.parquet")
        date = str(FIRST_DAY + number)
        name = max((name for name in MODEL_SINCE if MODEL_SINCE[name] <= number), key=MODEL_SINCE.__getitem__)
        run = run_day(tmp_path, living, folder, date, ids[name])
        counts = read_json(run / "manifest.json")["counts"]
        indexed = read_json(run / "manifests" / "index.json")["counts"]
        totals = {key: totals.get(key, 0) + count for key, count in {**indexed, **counts}.items()}
        if number == NUM_DAYS - 1 or number % 10 == 9:
            fresh = tmp_path / f"fresh-{number}"
            link_models(model_store, fresh)
            scratch = run_day(tmp_path, living, fresh, date, ids[name])
            afresh = read_json(scratch / "manifest.json")["counts"]
            assert afresh["rows_reused"] == afresh["users_reused"] == 0
            told = [name for name in counts if name.startswith("actions_")] + ["users", "clusters"]
            assert {name: counts[name] for name in told} == {name: afresh[name] for name in told}
            assert files_of(run) == files_of(scratch)
            assert len(files_of(run)) >= 3 + 3 + 1 + 3 + 4 + 3 * 4 + 1
            assert rejections_of(run) == rejections_of(scratch)
            figures["random days whose bytes equal a fresh store's"] = number + 1
    assert min(totals[f"rows_{kind}"] for kind in ("reused", "changed", "new", "gone")) > 0
    assert min(totals[f"users_{kind}"] for kind in ("reused", "changed", "new", "gone")) > 0
    left_out = ("quarantined", "other_actions", "without_user", "too_old", "item_unknown")
    assert min(totals[f"actions_{kind}"] for kind in left_out) > 0
    assert totals["clusters"] > totals["users"]
    assert min(totals["items_kept"], totals["near_duplicates"]) > 0
    assert min(totals[f"pictures_{kind}"] for kind in ("reused", "computed", "quarantined")) > 0
    assert len(living.done) == 10 or NUM_DAYS < 20, living.done
    ids_last = ds.dataset(run / "embeddings").to_table()["item_id"].to_pylist()
    assert len(ids_last) > NUM_IN_STOCK // 2


def link_models(source: Path, target: Path) -> None:
    """Models only: no training run whose picture vectors a fresh store could take over."""
    target.mkdir()
    (target / "models").symlink_to(source / "models")
