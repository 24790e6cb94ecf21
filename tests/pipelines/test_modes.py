"""Who may read what the jobs write: whom the umask says, not whom a library thinks of."""

import os
import stat
from pathlib import Path

import pytest
from exploration import soak
from train_runs import SMALL_MODEL

from pipelines.console.jobs import beam_options
from pipelines.daily import job as daily
from pipelines.store import store
from pipelines.train import job as train
from schemas.sample_shop.generate import generate


def unlike(folder: Path, umask: int) -> dict[str, str]:
    """The files and folders below `folder` whose mode is not that of a new one."""
    wrong = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode != (0o777 if path.is_dir() else 0o666) & ~umask:
            wrong[path.relative_to(folder).as_posix()] = oct(mode)
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o027, *soak(0o022)], ids=oct)
def test_a_store_has_the_modes_that_the_umask_says(tmp_path, umask):
    """Everything that training and a day with users, a refined index and an evaluation leave."""
    before = os.umask(umask)
    try:
        shop, folder = tmp_path / "shop", tmp_path / "store"
        generate(shop, items=40, seed=3)
        given = {name: f"{shop}/{name}.parquet" for name in ("catalog", "engagements")}
        given |= {"image_root": str(shop), "store": str(folder), "date": "2026-06-30"}
        small = {"pseudo_queries": 2, "epochs": 1, "min_steps": 3, "batch_size": 32, **SMALL_MODEL}
        config = train.TrainConfig(**given, **small, image_encoder="efficientnet_lite0", accept_untrained=True)
        train.run(config, beam_options([]))
        daily.run(daily.DailyConfig(**given, refine_cosine=0.9), beam_options([]))
    finally:
        os.umask(before)
    run = store.current_run(str(folder))
    assert all((run / name).is_dir() for name in ("users", "refined_index", "query_pictures"))
    assert unlike(shop, umask) == {}
    assert unlike(folder, umask) == {}
