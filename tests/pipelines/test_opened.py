"""Run: what is opened is what the stages wrote, held against a plain reading of the files; what is damaged is refused,
whichever manifest vouches for it."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspected_days import write_users_days
from run_builder import RunBuilder, write_rows

import pipelines.run.opened
from pipelines.run.opened import DAMAGE, PublishedRun, Run
from pipelines.run.units import bucket_name
from schemas.errors import CorruptFileError
from schemas.files import write_sealed_json
from schemas.records.embeddings import embeddings_metadata
from schemas.records.manifests import RunManifest, Sidecar, StageManifest, manifest_path

DIM = 8
IDS = [f"item-{number:03d}" for number in range(25)]


def unit_rows(num_rows: int = len(IDS), seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((num_rows, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three files of embeddings, published."""
    folder = tmp_path / "runs" / "2026-06-30" / "0123456789abcdef"
    return RunBuilder(folder).embeddings(IDS, unit_rows(), parts=3, dimension=DIM).publish().run


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published day of the real stages, with users and a refined index; read it, do not change it."""
    folder = tmp_path_factory.mktemp("store")
    return write_users_days(folder, refine_cosine=0.5)


def plain_vectors(folder: Path) -> dict[str, bytes]:
    """id -> bytes of its vector, by pyarrow alone."""
    rows = [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return {row["item_id"]: np.array(row["embedding"], np.float32).tobytes() for row in rows}


@pytest.mark.parametrize("kind", [Run, PublishedRun])
def test_embeddings_are_those_of_the_files(run, kind):
    ids, matrix_ND = kind(run).embeddings
    assert ids.to_pylist() == IDS == kind(run).item_ids
    assert dict(zip(IDS, [row.tobytes() for row in matrix_ND], strict=True)) == plain_vectors(run / "embeddings")


@pytest.mark.medium
def test_everything_of_a_real_day_is_what_a_plain_reading_finds(day):
    opened = Run(day)
    for stage in ("items", "features", "embeddings", "index", "users"):
        sidecars = [json.loads(path.read_text()) for path in sorted((day / "units" / stage).glob("*.json"))]
        names = {name for sidecar in sidecars for name in sidecar["counts"]}
        assert opened.counts(stage) == {n: sum(sidecar["counts"].get(n, 0) for sidecar in sidecars) for n in names}
        for entry in opened.manifest(stage).files:
            assert hashlib.sha256((day / entry.path).read_bytes()).hexdigest() == entry.sha256
        assert opened.check_files(stage) == sum(len(sidecar["files"]) for sidecar in sidecars)
    ids, matrix_ND = opened.embeddings
    plain = plain_vectors(day / "embeddings")
    assert dict(zip(ids.to_pylist(), [row.tobytes() for row in matrix_ND], strict=True)) == plain
    index, index_ids, _ = opened.index
    assert index_ids.equals(ids)
    assert index.vectors(range(len(ids))).tobytes() == matrix_ND.tobytes()
    kept = opened.refined.kept_ids.to_pylist()
    assert {*kept, *opened.refined.removed["item_id"].to_pylist()} == set(plain)
    rows, users, clusters = [], [], 0
    for bucket in range(opened.num_buckets):
        rows += opened.items(bucket, ["item_id"])["item_id"].to_pylist()
        records = [item.item_id for item in opened.records(bucket)]
        table = pq.read_table(opened.checked(f"fingerprints/{bucket_name(bucket, opened.num_buckets)}.parquet"))
        prints = [row["item_id"] for row in table.to_pylist() if row["features_hash"] is not None]
        assert records == prints == [name for name in records if name in rows]
    for bucket in range(opened.num_user_buckets):
        found = opened.users(bucket)
        users += found.ids.to_pylist()
        assert opened.user_actions(bucket).ids.equals(found.ids)
        clusters += len(found.medoid_ids)
    assert sorted(rows) == sorted(pq.read_table(day / "items", columns=["item_id"])["item_id"].to_pylist())
    table = pq.read_table(day / "users")
    assert sorted(users) == sorted(table["user_id"].to_pylist())
    assert clusters == sum(map(len, table["clusters"].to_pylist()))


def other_rows(path: Path, ids: list[str], rows: np.ndarray, model_id: str = "") -> None:
    write_rows(str(path), ids, rows, embeddings_metadata(model_id or RunBuilder(path.parents[1]).model_id, DIM))


def relisted(run: Path) -> None:
    """Every manifest vouches for the embeddings as they are now."""
    counts = Run(run).counts("embeddings")
    builder = RunBuilder(run)
    builder.listed("embeddings", "embeddings", counts=counts, model_id=builder.model_id, dimension=DIM).publish()


@pytest.mark.parametrize("kind", [Run, PublishedRun])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("flipped", "expected sha256"),
        ("gone", "expected the files of"),
        ("stray", "expected the files of"),
        ("fewer", r"expected 25 vectors of 8, got 24"),
        ("long", "of norm 1"),
        ("disordered", r"ascending order in .*part-00001"),
        ("twice", "unique ids in ascending order"),
        ("another model's", "one model a folder"),
    ],
)
def test_damaged_embeddings_are_refused_whatever_vouches_for_them(run, kind, damage, message):
    path = run / "embeddings" / "part-00001-of-00003.parquet"
    ids, rows = IDS[1::3], unit_rows()[1::3]
    if damage == "flipped":
        path.write_bytes(path.read_bytes()[:-9] + bytes(9))
    elif damage == "gone":
        path.unlink()
    elif damage == "stray":
        other_rows(path.with_name("part-zebra.parquet"), ["zebra"], unit_rows(1))
    elif damage == "fewer":
        other_rows(path, ids[1:], rows[1:])
    elif damage == "twice":
        other_rows(path, [IDS[0], *ids[1:]], rows)
    elif damage == "another model's":
        other_rows(path, ids, rows, "itemsage-ffffffffffff")
    else:
        table = pq.read_table(path)
        flat = pa.array((rows * (2 if damage == "long" else 1)).reshape(-1))
        vectors = pa.FixedSizeListArray.from_arrays(flat, type=table.schema.field("embedding").type)
        order = pa.array(ids if damage == "long" else ids[::-1])
        pq.write_table(pa.table([order, vectors], schema=table.schema), path)
    if damage not in ("flipped", "gone", "stray"):
        relisted(run)
    with pytest.raises(CorruptFileError, match=message):
        _ = kind(run).embeddings


def test_a_file_is_hashed_once_and_a_twin_is_not_decoded(run, tmp_path, monkeypatch):
    other = tmp_path / "other" / "run"
    RunBuilder(other).embeddings(IDS, unit_rows(), parts=3, dimension=DIM)
    today = Run(run)
    found = today.embeddings
    monkeypatch.setattr(pipelines.run.opened, "read_embeddings", lambda _: pytest.fail("it is decoded already"))
    assert Run(other, twin=today).embeddings is found
    for path in (run / "embeddings").iterdir():
        path.write_bytes(b"")
    assert today.embeddings is found
    assert today.checked_folder("embeddings") == sorted(today.listed("embeddings"))
    (other / "embeddings" / "part-00000-of-00003.parquet").write_bytes(b"")
    with pytest.raises(CorruptFileError, match="expected sha256"):
        _ = Run(other, twin=today).embeddings


def test_a_link_out_of_the_run_is_not_followed(run, tmp_path):
    path = run / "embeddings" / "part-00000-of-00003.parquet"
    path.rename(tmp_path / "elsewhere.parquet")
    path.symlink_to(tmp_path / "elsewhere.parquet")
    with pytest.raises(CorruptFileError, match="expected a file inside"):
        _ = Run(run).embeddings


def test_a_run_is_opened_as_its_readers_see_it(run):
    """The stage's manifest may be gone: what was published is what counts."""
    manifest_path(run, "embeddings").unlink()
    assert Run.open(run).embeddings.ids.to_pylist() == IDS
    (run / "COMPLETED").unlink()
    with pytest.raises(DAMAGE, match="expected the finished stage 'embeddings'"):
        _ = Run.open(run).embeddings


NAMES = st.text("abcdefgh_/.:", min_size=1, max_size=12)
COUNTS = st.dictionaries(NAMES, st.integers(0, 10**12), max_size=4)
FACTS = st.dictionaries(
    st.sampled_from(["num_buckets", "model_id", "made_with", "x"]), st.integers() | NAMES | st.none() | COUNTS
)
FILES = st.lists(
    st.builds(
        lambda name, size: {"bytes": size, "path": f"items/{name.strip('/.')}x", "sha256": "0" * 64},
        st.text("abcdefgh", min_size=1, max_size=5),
        st.integers(0, 10**12),
    ),
    max_size=3,
)


@given(COUNTS, FACTS, FILES, st.dictionaries(NAMES, COUNTS, max_size=3))
def test_manifests_are_read_as_they_were_written(counts, facts, files, units):
    listing = {"counts": counts, "files": files}
    summaries = {name: {"counts": found, "fingerprint": "f"} for name, found in units.items()}
    sidecar = {**listing, "fingerprint": "f", "unit": "u"}
    stage = {**facts, **listing, "stage": "s", "units": summaries}
    of_run = {**facts, **listing, "model_id": "m"}
    assert Sidecar.from_json(sidecar, "here").to_json() == sidecar
    assert StageManifest.from_json(stage, "here").to_json() == stage
    assert RunManifest.from_json(of_run, "here").to_json() == of_run


@pytest.mark.parametrize(
    "poison",
    [
        {"counts": {"a": -1}},
        {"counts": {"a": True}},
        {"counts": {"a": 1.5}},
        {"counts": [1]},
        {"counts": None},
        {"files": {}},
        {"files": [7]},
        {"files": [{"path": "../x", "sha256": "0" * 64, "bytes": 1}]},
        {"files": [{"path": "COMPLETED", "sha256": "0" * 64, "bytes": 1}]},
        {"files": [{"path": "units/items/x.json", "sha256": "0" * 64, "bytes": 1}]},
        {"files": [{"path": "items/x", "sha256": None, "bytes": 1}]},
        {"files": [{"path": "items/x", "sha256": "0" * 64, "bytes": -1}]},
        {"files": [{"path": "items/x", "sha256": "0" * 64, "bytes": True}]},
        {"stage": 7},
        {"units": []},
        {"units": {"u": {"counts": {}}}},
        {"units": {"u": {"counts": {"a": "1"}, "fingerprint": "f"}}},
    ],
)
def test_poisoned_manifests_are_refused_by_name(tmp_path, poison):
    sound = {"counts": {"a": 1}, "files": [], "stage": "items", "units": {}}
    write_sealed_json(manifest_path(tmp_path, "items"), sound)
    assert StageManifest.read(tmp_path, "items").count("a") == 1
    write_sealed_json(manifest_path(tmp_path, "items"), {**sound, **poison})
    with pytest.raises(CorruptFileError, match=r"^expected .*, got .* in .*manifests/items\.json"):
        StageManifest.read(tmp_path, "items")


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ("text", 7),
        ("text", None),
        ("whole", -1),
        ("whole", True),
        ("whole", "1"),
        ("number", float("inf")),
        ("number", []),
    ],
)
def test_a_fact_of_another_type_is_refused_by_name(asked, value):
    manifest = StageManifest.from_json(
        {"counts": {}, "files": [], "stage": "s", "units": {}, "good": {"text": "a", "whole": 2, "number": 0.5}[asked]}
        | ({} if value is None else {"fact": value}),
        "the manifest",
    )
    assert getattr(manifest, asked)("good") == {"text": "a", "whole": 2, "number": 0.5}[asked]
    with pytest.raises(CorruptFileError, match=r"expected fact .* in the manifest: run the stage again"):
        getattr(manifest, asked)("fact")
