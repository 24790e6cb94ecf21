"""changes/ against hand-made runs: what differs, and that equal files are not loaded to find that nothing does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from run_builder import RunBuilder

import pipelines.run.opened
from pipelines.run.changes import compare_embeddings, write_changes
from schemas.errors import CorruptFileError
from schemas.records.embeddings import embeddings_metadata, write_embeddings_file
from schemas.tables import CHANGES

DIM = 8
NAMES = [f"item-{number:02d}" for number in range(40)]
PART = "embeddings/part-00000-of-00001.parquet"


def unit_rows(num_rows: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(num_rows, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def make_run(run: Path, ids: Sequence[str], matrix: np.ndarray) -> Path:
    return RunBuilder(run, "m").embeddings(ids, matrix).run


@pytest.fixture
def days(tmp_path) -> tuple[Path, Path]:
    """(today, yesterday), of equal embeddings."""
    return make_run(tmp_path / "today", NAMES, unit_rows(40)), make_run(tmp_path / "yesterday", NAMES, unit_rows(40))


def rows_of(run: Path, folder: str = "changes") -> list[tuple[str, str]]:
    table = pq.read_table(run / folder / "part-00000.parquet")
    assert table.schema.equals(CHANGES)
    return [(row["item_id"], row["change"]) for row in table.to_pylist()]


def test_equal_files_are_not_loaded(days, monkeypatch):
    today, yesterday = days
    monkeypatch.setattr(pipelines.run.opened, "read_embeddings", lambda _: pytest.fail("no matrix need be loaded"))
    assert write_changes(today, yesterday) == {"new": 0, "changed": 0, "deleted": 0, "unchanged": 40}
    assert rows_of(today) == []
    table, counts = compare_embeddings(pa.array(NAMES), unit_rows(40), pa.array(NAMES), unit_rows(40))
    assert (len(table), counts) == (0, {"new": 0, "changed": 0, "deleted": 0, "unchanged": 40})


def test_what_differs_is_listed(tmp_path):
    matrix = unit_rows(40)
    yesterday = make_run(tmp_path / "yesterday", NAMES[:38], matrix[:38])
    matrix[5] = -matrix[5]
    today = make_run(tmp_path / "today", NAMES[2:], matrix[2:])
    assert write_changes(today, yesterday) == {"new": 2, "changed": 1, "deleted": 2, "unchanged": 35}
    assert rows_of(today) == [
        ("item-00", "deleted"),
        ("item-01", "deleted"),
        ("item-05", "changed"),
        ("item-38", "new"),
        ("item-39", "new"),
    ]
    assert write_changes(today, None) == {"new": 38, "changed": 0, "deleted": 0, "unchanged": 0}


def test_unified_vectors_have_a_folder_of_their_own(days):
    today, yesterday = days
    RunBuilder(today, "m").unified(NAMES[1:], unit_rows(40, seed=1)[1:], "u")
    assert write_changes(today, yesterday, "unified") == {"new": 39, "changed": 0, "deleted": 0, "unchanged": 0}
    matrix = unit_rows(40, seed=1)
    matrix[3] = -matrix[3]
    RunBuilder(yesterday, "m").unified(NAMES, matrix, "u")
    assert write_changes(today, yesterday, "unified") == {"new": 0, "changed": 1, "deleted": 1, "unchanged": 38}
    assert rows_of(today, "unified_changes") == [("item-00", "deleted"), ("item-03", "changed")]
    assert not (today / "changes").exists()


@pytest.mark.parametrize("which", ["today", "yesterday"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_damaged_embeddings_are_no_unchanged_ones(days, which, damage):
    path = days[which == "yesterday"] / PART
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes({"flipped": bytes(data), "cut": bytes(data[:-9]), "empty": b""}[damage])
    with pytest.raises(CorruptFileError):
        write_changes(*days)
    assert not (days[0] / "changes").exists()


@pytest.mark.parametrize("which", ["today", "yesterday"])
def test_a_file_that_no_manifest_lists_is_damage(days, which):
    path = days[which == "yesterday"] / "embeddings" / "part-stray.parquet"
    write_embeddings_file(path, ["zebra"], unit_rows(1), embeddings_metadata("m", DIM))
    with pytest.raises(CorruptFileError, match=r"expected the files of manifests/embeddings\.json"):
        write_changes(*days)


BITS = st_numpy.arrays(np.float32, (12, 3), elements=st.sampled_from([0.0, -0.0, 1.0, float("nan")]))


@given(BITS, BITS, st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)))
def test_applying_the_changes_to_yesterday_gives_today(old_ND, new_ND, old_rows, new_rows):
    old = {NAMES[row]: old_ND[row].tobytes() for row in old_rows}
    new = {NAMES[row]: new_ND[row].tobytes() for row in new_rows}
    table, counts = compare_embeddings(
        pa.array(sorted(old), pa.string()),
        old_ND[sorted(old_rows)],
        pa.array(sorted(new), pa.string()),
        new_ND[sorted(new_rows)],
    )
    readers = dict(old)
    for row in table.to_pylist():
        if row["change"] == "deleted":
            del readers[row["item_id"]]
        else:
            assert (row["change"] == "new") == (row["item_id"] not in old)
            assert readers.get(row["item_id"]) != new[row["item_id"]]
            readers[row["item_id"]] = new[row["item_id"]]
    assert readers == new
    assert table["item_id"].to_pylist() == sorted(table["item_id"].to_pylist())
    assert counts["unchanged"] == len(new) - counts["new"] - counts["changed"]
