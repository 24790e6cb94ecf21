"""Twins are searched as one vector and come out as items; each kind of query inspects its own; no foreign files."""

import re
import sys
from pathlib import Path

import annoy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from optional_libraries import needs_voyager
from run_builder import RunBuilder

from model.nearest.index import ExactIndex
from model.nearest.index_folder import open_index
from model.nearest.recall import RecallQueries
from model.nearest.searched import SearchedIndex, open_searched, recall_by_kind
from pipelines.index import folder as index_folder
from pipelines.index.job import main
from pipelines.run.units import Unit, UnitWriter
from schemas.errors import CorruptFileError
from schemas.files import read_json, sha256_of_file, write_json
from schemas.tables import DISTINCT, EMBEDDING_DIM

pytestmark = pytest.mark.slow

NUM_ITEMS, NUM_DIFFERENT = 3_000, 400
#: Of the items, where an index is built again and again; half of them are twins.
FEW = 800
MODEL_ID = "itemsage-0123456789ab"


def unit_rows(num_rows: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((num_rows, EMBEDDING_DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def twins(seed: int = 0) -> np.ndarray:
    """Items that share 400 vectors, some of which many have."""
    generator = np.random.default_rng(seed)
    return unit_rows(NUM_DIFFERENT)[(NUM_DIFFERENT * generator.random(NUM_ITEMS) ** 3).astype(int)]


def build(run: Path, matrix: np.ndarray, *flags: str) -> Path:
    """The index stage over these vectors; returns index/."""
    RunBuilder(run, MODEL_ID).embeddings([f"item-{row:05d}" for row in range(len(matrix))], matrix)
    assert main(["--run", str(run), *flags]) == 0
    return run / "index"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("run"), twins())


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy to damage."""
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_twins_are_searched_as_one_vector_and_come_out_as_items(made):
    index, ids, manifest = open_searched(made)
    matrix = twins()
    section = manifest["searched"]
    assert (section["distinct"], section["backend"]) == (True, "annoy")
    assert section["n_vectors"] == len(np.unique(matrix, axis=0)) < 0.9 * len(ids)
    assert isinstance(index, SearchedIndex)
    queries = unit_rows(50, seed=1)
    for top in (1, 10, 200):
        rows, scores = index.search(queries, top)
        expected = ExactIndex(matrix).search(queries, top)
        found = scores >= expected[1][:, -1:] - 1e-5
        assert found.mean() > 0.9
        np.testing.assert_allclose(scores, np.einsum("qkd,qd->qk", matrix[rows], queries), atol=1e-5)
    everything, _ = index.search(queries[:2], NUM_ITEMS)
    assert (np.sort(everything, axis=1) == np.arange(NUM_ITEMS)).all()
    np.testing.assert_array_equal(index.vectors([7, 2_999]), matrix[[7, 2_999]])


def test_a_query_leaves_its_own_vector_out_also_where_twins_are_one(tmp_path, monkeypatch):
    """The rows of the index are then vectors, not items: item 4 has the first one."""
    matrix, asked = unit_rows(3)[[0, 1, 1, 2, 0]], []
    own = np.array([4, 2, 3])
    build_annoy = index_folder.build_annoy
    monkeypatch.setattr(
        index_folder,
        "build_annoy",
        lambda matrix_ND, path, queries, **settings: (
            asked.append((len(matrix_ND), {kind: found.own_rows_Q for kind, found in queries.items()}))
            or build_annoy(matrix_ND, path, queries, **settings)
        ),
    )
    queries = {
        "picture": RecallQueries(vectors_QD=unit_rows(3, seed=1), source="pictures", own_rows_Q=own),
        "text": RecallQueries(vectors_QD=unit_rows(3, seed=2), source="texts"),
    }
    settings = {"target_recall": 0.95, "max_trees": 10, "max_search_k": 100, "seed": 0}
    ids = pa.array([f"item-{row}" for row in range(5)])
    writer = UnitWriter(str(tmp_path), Unit("index", "index", "0"))
    index_folder.write_index_folder(
        writer, "index", ids, matrix, settings=settings, made_of={"model_id": MODEL_ID}, queries=queries
    )
    (all_items, none), (num_vectors, own_rows) = asked
    assert (all_items, none, num_vectors) == (5, {}, 3)
    assert own_rows["picture"].tolist() == [0, 1, 2]
    assert own_rows["text"] is None


def test_any_reader_of_annoy_still_has_an_index_of_every_item(made):
    _, ids, manifest = open_index(made)
    assert [path.name for path in made.glob("*.ann")] == ["items.ann"]
    loaded = annoy.AnnoyIndex(EMBEDDING_DIM, "angular")
    loaded.load(str(made / "items.ann"))
    assert loaded.get_n_items() == len(ids) == NUM_ITEMS
    first = re.search(r'"search_k": (\d+)', (made / "manifest.json").read_text())
    assert first is not None
    assert int(first[1]) == manifest["search_k"]  # not that of the different vectors


def test_few_twins_have_no_index_of_their_own(tmp_path):
    matrix = unit_rows(300)
    matrix[:20] = matrix[20]
    folder = build(tmp_path, matrix)
    index, _, manifest = open_searched(folder)
    assert not manifest["searched"]["distinct"]
    assert {path.name for path in folder.iterdir()} == {"ids.parquet", "items.ann", "manifest.json", "times.json"}
    assert manifest["searched"]["kinds"]["item"]["search_k"] == manifest["search_k"]
    assert index.search(matrix[:1], 21)[0].tolist() == [list(range(21))]


def test_a_catalogue_that_loses_its_twins_leaves_no_file_of_them(tmp_path):
    folder = build(tmp_path, twins()[:FEW])
    assert (folder / "distinct.annoy").exists()
    build(tmp_path, unit_rows(300))
    assert not list(folder.glob("distinct.*"))


def test_a_folder_without_the_section_is_searched_as_before(folder):
    manifest = read_json(folder / "manifest.json")
    del manifest["searched"]
    write_json(folder / "manifest.json", manifest)
    index, _, _ = open_searched(folder)
    np.testing.assert_array_equal(index.search(twins()[:2], 5)[0], open_index(folder)[0].search(twins()[:2], 5)[0])
    assert recall_by_kind(manifest) == {"item": manifest["recall"]}


def test_each_kind_inspects_what_was_chosen_for_it():
    asked = []

    class Near:
        num_items, dim = 500, 4

        def search(self, queries_QD, top, *, search_k):
            asked.append(search_k)
            return np.zeros((1, top), np.int64), np.zeros((1, top), np.float32)

    index = SearchedIndex(ExactIndex(np.eye(4, dtype=np.float32)), Near(), {"item": 100, "text": 700})
    query = np.eye(4, dtype=np.float32)[:1]
    for kind, top in (("item", 10), ("text", 10), ("picture", 10), ("text", 20)):
        index.search(query, top, kind)
    assert asked == [100, 700, 700, 1400]


def seal(folder: Path, name: str) -> None:
    """Makes size and checksum in the manifest fit the file."""
    manifest = read_json(folder / "manifest.json")
    path = folder / name
    manifest["files"][name] = {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
    write_json(folder / "manifest.json", manifest)


def flip(folder: Path) -> None:
    data = bytearray((folder / "distinct.annoy").read_bytes())
    data[500] ^= 1
    (folder / "distinct.annoy").write_bytes(data)


def numbers(folder: Path, values: list[int], schema: pa.Schema = DISTINCT) -> None:
    pq.write_table(pa.table([values], schema=schema), folder / "distinct.parquet")
    seal(folder, "distinct.parquet")


def section(folder: Path, **changes) -> None:
    manifest = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", manifest | {"searched": manifest["searched"] | changes})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "distinct.annoy").unlink(), "bytes, got None"),
        (flip, "expected sha256"),
        (lambda folder: numbers(folder, [0] * 10), "3000 rows"),
        (lambda folder: numbers(folder, [0] * NUM_ITEMS), "different vectors, got 1"),
        (lambda folder: numbers(folder, [1] * NUM_ITEMS), "numbered from 0"),
        (lambda folder: numbers(folder, [-1] * NUM_ITEMS), "numbered from 0"),
        (
            lambda folder: (folder / "distinct.parquet").write_bytes(b"PAR1") and seal(folder, "distinct.parquet"),
            "Parq",
        ),
        (lambda folder: section(folder, n_vectors=10**9), "expected backend"),
        (lambda folder: section(folder, backend="../../etc"), "expected backend"),
        (lambda folder: section(folder, kinds={"text": {"search_k": 5}}), "expected backend"),
        (lambda folder: section(folder, kinds={"item": {"search_k": "5"}}), "expected backend"),
        (lambda folder: section(folder, kinds=[]), "expected backend"),
    ],
)
def test_what_does_not_belong_together_is_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(CorruptFileError, match=message):
        open_searched(folder)


def test_other_vectors_than_the_items_are_refused(folder):
    data = bytearray((folder / "distinct.annoy").read_bytes())
    data[12:20] = data[12 + 1036 : 20 + 1036]  # of the first vector, in its place in the file
    (folder / "distinct.annoy").write_bytes(data)
    seal(folder, "distinct.annoy")
    with pytest.raises(CorruptFileError, match=r"different vectors of items\.ann|unit vectors"):
        open_searched(folder)


@pytest.mark.parametrize("poison", [{"kinds": {"item": {}}}, {"kinds": {"item": {"recall": {"10": 2}}}}, {"kinds": 3}])
def test_recall_that_is_none_is_refused(poison):
    with pytest.raises(CorruptFileError, match="recall@10"):
        recall_by_kind({"searched": poison})


@needs_voyager
def test_another_backend_is_searched_and_annoy_is_written_all_the_same(tmp_path):
    matrix = twins()[:FEW]
    queries = matrix[::16]
    folder = build(tmp_path / "a", matrix, "--index-backend", "voyager")
    assert (folder / "items.ann").exists()
    assert not (folder / "distinct.annoy").exists()
    index, _, manifest = open_searched(folder)
    assert (manifest["searched"]["backend"], manifest["searched"]["kinds"]["item"]["target_reached"]) == (
        "voyager",
        True,
    )
    expected = ExactIndex(matrix).search(queries, 30)[1]
    assert (index.search(queries, 30)[1] >= expected[:, -1:] - 1e-5).mean() > 0.9
    again = build(tmp_path / "b", matrix, "--index-backend", "voyager")
    for name in ("distinct.voyager", "manifest.json"):
        assert (folder / name).read_bytes() == (again / name).read_bytes()
    other = build(tmp_path / "a", matrix)
    assert {path.name for path in other.glob("distinct.*")} == {"distinct.annoy", "distinct.parquet"}


@needs_voyager
def test_where_annoy_misses_the_target_the_build_says_what_the_other_gives(tmp_path, capsys):
    caps = ["--max-trees", "2", "--max-search-k", "20"]
    folder = build(tmp_path, unit_rows(2_000), *caps)
    other = read_json(folder / "manifest.json")["searched"]["voyager"]["item"]
    assert other["recall"]["10"] > 0.0
    told = f"--index-backend voyager gives {other['recall']['10']} with search_k {other['search_k']:,}"
    assert told in capsys.readouterr().out


def test_a_backend_that_is_not_installed_is_refused_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "voyager", None)
    assert main(["--run", str(tmp_path), "--index-backend", "voyager"]) == 2
    assert "pip install 'itemsage[voyager]'" in capsys.readouterr().err
