"""A model of vectors of another size than the default: one switch of the training, and all that follows works."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from train_runs import COLOURS, DATE, run_train, write_catalogue

from pipelines.daily import job as daily
from pipelines.evaluate import job as evaluate
from pipelines.operations.verify import job as verify
from pipelines.recommend import main as recommend
from pipelines.run.units import read_stage_manifest
from pipelines.search import main as search
from pipelines.store.store import current_run
from schemas.records.embeddings import read_embeddings
from schemas.records.user_rows import USERS_FOLDER
from schemas.tables import EMBEDDING_DIM, ENGAGEMENTS

pytestmark = pytest.mark.slow

DIM = 128
NUM_ITEMS = 40
NEXT_DATE = "2026-07-01"


def write_users_log(folder: Path) -> None:
    """log.parquet: six users who each click on mugs of one colour."""
    rows = []
    for number in range(240):
        user = number % 6
        item = (user % 5) + 5 * (number % (NUM_ITEMS // 5))
        when = dt.datetime(2026, 6, 1, tzinfo=dt.UTC) + dt.timedelta(hours=number)
        about = {"query": COLOURS[user % 5], "surface": "search", "action": "click"}
        rows.append(
            about | {"timestamp": when, "user_id": f"u{user}", "session_id": None, "item_id": f"item-{item:03d}"}
        )
    pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), folder / "log.parquet")


def run_daily(folder: Path, date: str) -> Path:
    """The published run of the day."""
    places = ("--catalog", f"{folder}/catalog.parquet", "--image-root", str(folder), "--store", f"{folder}/store")
    assert daily.main([*places, "--engagements", f"{folder}/log.parquet", "--date", date]) == 0
    return current_run(f"{folder}/store")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_catalogue(folder, NUM_ITEMS, images=None)
    write_users_log(folder)
    log = ("--engagements", f"{folder}/log.parquet")
    assert run_train(folder, *log, "--image-encoder", "none", "--accept-untrained", "--output-dim", str(DIM)) == 0
    run_daily(folder, DATE)
    return folder


def test_vectors_index_and_users_are_of_that_size(shop):
    assert DIM != EMBEDDING_DIM
    run = current_run(f"{shop}/store")
    ids, matrix_ND = read_embeddings(run / "embeddings")
    assert (len(ids), matrix_ND.shape) == (NUM_ITEMS, (NUM_ITEMS, DIM))
    assert read_stage_manifest(str(run), "embeddings")["dimension"] == DIM
    assert read_stage_manifest(str(run), "users")["dimension"] == DIM
    users = pa.concat_tables([pq.read_table(path) for path in sorted((run / USERS_FOLDER).glob("*.parquet"))])
    medoids = [cluster for clusters in users["clusters"].to_pylist() for cluster in clusters]
    assert len(medoids) > 5
    for cluster in medoids:
        row = ids.index(cluster["medoid_item_id"]).as_py()
        assert np.array_equal(np.array(cluster["medoid_vector"], np.float32), matrix_ND[row])


def test_search_and_recommend_answer(shop, capsys):
    assert search(["--store", f"{shop}/store", "--text", "green mug"]) == 0
    assert "green mug number" in capsys.readouterr().out
    assert search(["--store", f"{shop}/store", "--exact", "--item", "item-001"]) == 0
    assert recommend(["--store", f"{shop}/store", "--user", "u1"]) == 0
    assert "item-" in capsys.readouterr().out


def test_evaluate_and_verify_find_nothing_wrong(shop, capsys):
    places = ("--store", f"{shop}/store")
    log = ("--engagements", f"{shop}/log.parquet", "--date", DATE)
    assert evaluate.main([*places, *log]) == 0
    assert verify.main([*places, "--rebuild", "20", "--image-root", str(shop)]) == 0, capsys.readouterr()


def test_the_next_day_takes_all_vectors_over(shop):
    counts = read_stage_manifest(str(run_daily(shop, NEXT_DATE)), "embeddings")["counts"]
    assert (counts["rows_reused"], counts["rows_computed"]) == (NUM_ITEMS, 0)
