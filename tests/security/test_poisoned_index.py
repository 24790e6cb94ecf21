"""An index that is not what was published: refused before Annoy, which would end the process, sees it."""

import json
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from security_helpers import RUN, publish_by_hand, seal_index, write_index

from model.nearest.index_folder import open_index
from pipelines.serving.searcher import Searcher
from schemas.errors import CorruptFileError
from schemas.files import read_json
from schemas.tables import EMBEDDING_DIM

NODE_BYTES = 12 + 4 * EMBEDDING_DIM


@pytest.fixture
def index(store: Path) -> Path:
    return store / RUN / "index"


def edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path) -> str:
    """The error of opening it, without the memory that it asks for."""
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorruptFileError) as caught:
        open_index(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 3_000
    return str(caught.value)


def test_the_hand_made_run_answers(store):
    results = Searcher(str(store)).by_item(["item-07"], 3)[0]
    assert len(results) == 3
    assert results[0].title.startswith("chair")


def replace_bytes(data: bytes):
    return lambda folder: (folder / "items.ann").write_bytes(data)


def cut(num_bytes: int):
    def damage(folder):
        data = (folder / "items.ann").read_bytes()
        (folder / "items.ann").write_bytes(data[: len(data) - num_bytes])

    return damage


def swap_ids(folder):
    table = pq.read_table(folder / "ids.parquet")
    pq.write_table(table.take(pa.array(range(len(table) - 1, -1, -1))), folder / "ids.parquet")


@pytest.mark.parametrize(
    "damage",
    [
        cut(NODE_BYTES),
        cut(5 * NODE_BYTES),
        cut(1),
        replace_bytes(b""),
        replace_bytes(np.random.default_rng(0).bytes(60 * NODE_BYTES)),
        replace_bytes(b"\xff" * 60 * NODE_BYTES),
        swap_ids,
        lambda folder: (folder / "items.ann").unlink(),
        lambda folder: (folder / "ids.parquet").unlink(),
    ],
)
def test_changed_files_are_refused(store, index, damage):
    damage(index)
    refused(index)
    with pytest.raises(CorruptFileError):
        Searcher(str(store))


@pytest.mark.parametrize("damage", [cut(NODE_BYTES), replace_bytes(b"\xff" * 60 * NODE_BYTES), swap_ids])
def test_a_manifest_made_to_fit_is_not_the_published_one(store, index, damage):
    """The run's manifest, whose sha256 COMPLETED has, names other files than the index's own."""
    damage(index)
    seal_index(index, **read_json(index / "manifest.json"))
    with pytest.raises(CorruptFileError, match="published"):
        Searcher(str(store))


def test_a_foreign_index_is_refused(store, index, tmp_path):
    """The sound index of another shop, manifest and all."""
    other = publish_by_hand(tmp_path / "other", [f"x-{n}" for n in range(40)], ["x"] * 40)
    for name in ("items.ann", "ids.parquet", "manifest.json"):
        (index / name).write_bytes((other / "index" / name).read_bytes())
    with pytest.raises(CorruptFileError, match="published"):
        Searcher(str(store))


def test_an_index_of_another_dimension_is_refused(index):
    narrow = np.eye(40, 16, dtype=np.float32) + 0.1
    narrow /= np.linalg.norm(narrow, axis=1, keepdims=True)
    (index / "items.ann").unlink()
    write_index(index, [f"item-{n:02d}" for n in range(40)], narrow)
    edit(index, dimension=EMBEDDING_DIM)
    assert f"dimension {EMBEDDING_DIM}" in refused(index)


@pytest.mark.medium
@pytest.mark.parametrize("name", ["dimension", "n_items", "n_trees", "search_k"])
@pytest.mark.parametrize(
    "value", [0, -1, -(2**31), 2**31, 2**63, 10**300, 1.5, float("nan"), True, "256", None, [256], {}]
)
def test_numbers_out_of_range_are_refused(index, name, value):
    edit(index, **{name: value})
    refused(index)


@pytest.mark.parametrize("dimension", [1, 255, 257, 512, 2**20, 2**31 - 1])
def test_other_dimensions_are_refused(index, dimension):
    edit(index, dimension=dimension)
    refused(index)


@pytest.mark.parametrize("n_items", [1, 39, 41, 2**31 - 1])
def test_other_numbers_of_items_are_refused(index, n_items):
    edit(index, n_items=n_items)
    refused(index)


@pytest.mark.parametrize("files", [None, [], {}, "x", *({"items.ann": x, "ids.parquet": x} for x in (1, {}, []))])
def test_lists_of_files_of_another_kind_are_refused(index, files):
    edit(index, files=files)
    refused(index)


@pytest.mark.parametrize("sha256", ["", "0" * 64, "x" * 10_000, "\x1b[2J", None, 7])
def test_other_checksums_are_refused(index, sha256):
    files = read_json(index / "manifest.json")["files"]
    files["items.ann"]["sha256"] = sha256
    edit(index, files=files)
    refused(index)


def test_a_file_that_claims_more_items_than_it_holds_is_refused(index):
    """One node whose header says 40: Annoy would read what lies behind the file, and the process would end."""
    (index / "items.ann").write_bytes((40).to_bytes(4, "little") + b"\0" * (NODE_BYTES - 4))
    seal_index(index, **read_json(index / "manifest.json"))
    refused(index)


def test_names_in_the_manifest_open_no_other_file(index, tmp_path):
    (tmp_path / "secret").write_bytes(b"x")
    for name in ("../../../../secret", str(tmp_path / "secret"), "../items/bucket-00000-of-00001.parquet"):
        files = read_json(index / "manifest.json")["files"]
        edit(index, files={**files, name: {"bytes": 1, "sha256": "0" * 64}})
        open_index(index)  # reading it would find another checksum


def deep(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


BOMBS = (deep(200), deep(100_000), "[" * 100_000, "9" * 5_000)


@pytest.mark.parametrize("text", ["", "[]", "null", "1", '"\\ud800"', "\0", "\xff", *BOMBS])
def test_manifests_that_are_no_manifest_are_refused(store, index, text):
    (index / "manifest.json").write_bytes(text.encode("latin-1"))
    refused(index)
    with pytest.raises(CorruptFileError):
        Searcher(str(store))


def test_ids_that_are_no_ids_are_refused(index):
    for table in (
        pa.table({"item_id": pa.array(range(40))}),
        pa.table({"other": ["x"] * 40}),
        pa.table({"item_id": pa.array([None] * 40, pa.string())}),
        pa.table([["x"] * 40, ["y"] * 40], names=["item_id", "more"]),
    ):
        pq.write_table(table, index / "ids.parquet")
        seal_index(index, **read_json(index / "manifest.json"))
        refused(index)
    (index / "ids.parquet").write_bytes(b"PAR1" + b"\xff" * 100 + b"PAR1")
    seal_index(index, **read_json(index / "manifest.json"))
    refused(index)


def test_search_counts_stay_in_the_range_of_the_library(index):
    """search_k is multiplied for many results: it must not overflow a C int."""
    edit(index, search_k=2**31 - 1)
    opened, _, _ = open_index(index)
    rows, _ = opened.search(opened.vectors([3]), 35)
    assert rows[0, 0] == 3
    assert len(set(rows[0].tolist())) == 35
