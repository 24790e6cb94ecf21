"""Stores to inspect. `made_store`, `refined_store`, `users_store`: by hand. `shop` and `real_store` (slow): a sample
shop, trained and run on two days; between them one item of each kind of change."""

import copy
import functools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from exploration import SOAK
from inspected_days import (
    DAY,
    DAY_BEFORE,
    NUM_BUCKETS,
    first_day,
    second_day,
    write_day,
    write_model,
    write_users_days,
)
from train_runs import SMALL_MODEL

from pipelines.console.jobs import beam_options
from pipelines.operations.doctor import job as doctor
from pipelines.store import store

#: Of the vectors of a model that has learnt nothing.
REFINE_COSINE = 0.5


@pytest.fixture(scope="session", autouse=True)
def annoy_is_tried_once() -> Iterator[None]:
    """Each `doctor` tries Annoy in a process of its own: of dozens in one process of the suite, all but the first find
    the same."""
    tried = functools.cache(doctor.check_annoy)
    with pytest.MonkeyPatch.context() as patch:
        if not SOAK:
            patch.setattr(doctor, "check_annoy", lambda: copy.deepcopy(tried()))
        yield


@pytest.fixture(scope="session")
def made_store(tmp_path_factory) -> Path:
    """Two published days by hand; read it, do not change it."""
    folder = tmp_path_factory.mktemp("made-store")
    model_id = write_model(folder)
    store.fix_num_buckets(str(folder), NUM_BUCKETS)
    before = write_day(folder, model_id, DAY_BEFORE, first_day(), None)
    write_day(folder, model_id, DAY, second_day(), before)
    return folder


@pytest.fixture
def own_store(made_store, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made_store, tmp_path / "store"))


@pytest.fixture(scope="session")
def refined_store(tmp_path_factory) -> Path:
    """One published day with a refined index; read it, do not change it."""
    folder = tmp_path_factory.mktemp("refined-store")
    model_id = write_model(folder)
    store.fix_num_buckets(str(folder), NUM_BUCKETS)
    write_day(folder, model_id, DAY, second_day(), None, refine_cosine=REFINE_COSINE)
    return folder


@pytest.fixture(scope="session")
def users_store(tmp_path_factory) -> Path:
    """Two published days with users; read it, do not change it. See write_users_days."""
    folder = tmp_path_factory.mktemp("users-store")
    write_users_days(folder)
    return folder


@pytest.fixture(scope="session")
def shop(tmp_path_factory) -> Path:
    """catalog.parquet of the second day and before.parquet of the first."""
    from schemas.sample_shop.generate import generate

    folder = tmp_path_factory.mktemp("shop")
    generate(folder, items=40, seed=3)
    table = pq.read_table(folder / "catalog.parquet")
    pq.write_table(table.slice(0, len(table) - 3), folder / "before.parquet")
    return folder


@pytest.fixture(scope="session")
def real_store(shop, tmp_path_factory) -> Path:
    """A trained model and two published days; the second day has new items and one picture of other content."""
    from pipelines.daily import job as daily
    from pipelines.train import job as train

    folder = tmp_path_factory.mktemp("real-store")
    common = {"image_root": str(shop), "store": str(folder)}
    train.run(
        train.TrainConfig(
            **common,
            **SMALL_MODEL,
            catalog=f"{shop}/before.parquet",
            engagements=f"{shop}/engagements.parquet",
            date=DAY_BEFORE,
            image_encoder="efficientnet_lite0",
            pseudo_queries=2,
            epochs=1,
            min_steps=5,
            batch_size=32,
            accept_untrained=True,  # a shop of 40 items need not learn anything in 9 steps
        ),
        beam_options([]),
    )
    gates = {"max_drift_auc": 1.0, "min_overlap": 0.0}
    for date, name in ((DAY_BEFORE, "before"), (DAY, "catalog")):
        config = daily.DailyConfig(**common, **gates, catalog=f"{shop}/{name}.parquet", date=date)
        daily.run(config, beam_options([]))
        if name == "before":
            changed, other = sorted((shop / "images").glob("*/*.jpg"))[:2]
            shutil.copyfile(other, changed)
            os.utime(changed, ns=(1, 1))
    return folder
