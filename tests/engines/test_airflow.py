"""Airflow itself parses docs/scheduling/itemsage_day.py and runs a day that is published, and one that is refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from python_process import ROOT

from model.items.itemsage import ItemSage, ItemSageConfig
from model.items.store import save_model
from model.text.vocabulary import TokenCounts, Vocabulary
from pipelines.store.models import ITEM_MODELS
from pipelines.store.store import current_run

pytestmark = pytest.mark.engine("airflow")
#: The Python that `make airflow-test` makes.
BIN = ROOT / ".airflow" / "bin"
DAG = ROOT / "docs" / "scheduling" / "itemsage_day.py"
DATE = "2026-06-30"
TITLES = [f"{colour} {thing}" for colour in ("red", "blue", "green") for thing in ("dress", "lamp", "chair", "scarf")]
_TIMEOUT_S = 240


class Airflow:
    """An Airflow with a database of its own, whose one DAG is ours."""

    def __init__(self, folder: Path):
        (folder / "dags").mkdir(parents=True)
        shutil.copy(DAG, folder / "dags")
        self.config = folder / "shop.toml"
        self.environment = {
            **os.environ,
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
            "ITEMSAGE_PYTHON": sys.executable,
            "ITEMSAGE_CONFIG": str(self.config),
        }
        assert self("airflow", "db", "migrate").returncode == 0

    def __call__(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The ended process; what it printed is in stdout."""
        return subprocess.run(
            [str(BIN / program), *arguments],
            env=self.environment,
            cwd=self.config.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )


@pytest.fixture(scope="module")
def airflow(tmp_path_factory) -> Airflow:
    return Airflow(tmp_path_factory.mktemp("airflow"))


def write_shop(airflow: Airflow, folder: Path, *more: str) -> Path:
    """A catalogue of some titles, and a shop.toml of absolute paths; the store, which has a model of random weights."""
    counts = TokenCounts()
    for title in TITLES:
        counts.add_text(title)
    vocabulary = Vocabulary.from_counts(counts.table())
    vocabulary.save(folder / "vocabulary")
    small = {"hash_rows": 2_000, "width": 32, "ffn_dim": 32, "mlp_dim": 32}
    model = ItemSage(ItemSageConfig(vocabulary_size=vocabulary.size, picture_dim=0, **small))
    model_id = save_model(
        model,
        folder / "model",
        vocabulary_folder=folder / "vocabulary",
        image_encoder_folder=None,
        towers={},
        split={"kind": "query_hash"},
        metrics={},
    )
    installed = folder / "store" / "models" / model_id
    installed.parent.mkdir(parents=True)
    (folder / "model").rename(installed)
    ITEM_MODELS.make_current(str(folder / "store"), model_id)
    ids = [f"item-{number}" for number in range(len(TITLES))]
    pq.write_table(pa.table({"item_id": ids, "title": TITLES}), folder / "catalog.parquet")
    paths = {"catalog": folder / "catalog.parquet", "image_root": folder, "store": folder / "store"}
    airflow.config.write_text("\n".join([*(f'{name} = "{path}"' for name, path in paths.items()), *more]) + "\n")
    return folder / "store"


def test_airflow_parses_it(airflow):
    done = airflow("airflow", "dags", "list-import-errors")
    assert (done.returncode, "No data found" in done.stdout) == (0, True), done.stdout
    code = (
        "import runpy, sys, pendulum; dag = runpy.run_path(sys.argv[1])['dag']; "
        "found = dag.timetable.infer_manual_data_interval(run_after=pendulum.parse(sys.argv[2])); "
        "print('of', found.start.date(), 'at', found.end.in_timezone('Europe/Berlin'))"
    )
    done = airflow("python", "-c", code, str(DAG), "2026-07-01T09:00:00Z")
    assert "of 2026-06-30 at 2026-07-01 04:00:00+02:00" in done.stdout, done.stdout


def test_airflow_runs_a_day_that_is_published(airflow, tmp_path):
    store = write_shop(airflow, tmp_path)
    done = airflow("airflow", "dags", "test", "itemsage_day", DATE)
    assert done.returncode == 0, done.stdout[-5000:]
    run = current_run(str(store))
    assert run.parent.name == DATE
    assert len(pq.read_table(run / "embeddings")) == len(TITLES)


def test_a_day_that_a_gate_refused_is_not_tried_again(airflow, tmp_path):
    store = write_shop(airflow, tmp_path, "max_quarantined_rows = 0.0", "min_quarantined = 0")
    without_id = pa.table({"item_id": [None, *"abcd"], "title": TITLES[:5]})
    pq.write_table(without_id, tmp_path / "catalog.parquet")
    done = airflow("airflow", "dags", "test", "itemsage_day", "2026-07-01")
    assert "a gate refused the day" in done.stdout, done.stdout[-5000:]
    assert not (store / "CURRENT").exists()
    assert len(list((store / "runs" / "2026-07-01").iterdir())) == 1
