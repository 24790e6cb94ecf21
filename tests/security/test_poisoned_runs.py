"""Sidecars, manifests and pointers that somebody changed: nothing outside the run is read, changed or deleted."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from security_helpers import RUN

from pipelines.path import PathConfig
from pipelines.path import run as print_path
from pipelines.run.unit_files import remove_unit, sidecar_path
from pipelines.run.units import Unit, UnitWriter, finished_sidecar, read_stage_manifest, write_stage_manifest
from pipelines.serving.searcher import Searcher
from pipelines.store import store as store_module
from pipelines.store.models import ITEM_MODELS
from schemas.errors import CorruptFileError, UsageError
from schemas.files import sha256_of_file, write_json, write_sealed_json
from schemas.hashing import fingerprint
from schemas.quarantine import Rejection

UNIT = Unit("features", "bucket-0", "print-1")
REJECTION = Rejection(
    level="row", stage="features", item_id="a", reason="r", expected="e", got="g", where="c:1", remedy="m"
)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """(yesterday's finished run with one unit, today's empty one), and a secret beside them."""
    earlier, today = tmp_path / "earlier", tmp_path / "today"
    writer = UnitWriter(str(earlier), UNIT)
    with writer.file("features/bucket-0.tfrecord") as temporary:
        Path(temporary).write_text("data")
    writer.quarantine([REJECTION])
    writer.seal()
    (earlier / "manifest.json").write_text("{}")
    (earlier / "COMPLETED").write_text(sha256_of_file(earlier / "manifest.json"))
    (tmp_path / "secret").write_text("secret")
    today.mkdir()
    return earlier, today


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def poison(run: Path, *paths: object, sha256: str | None = None) -> None:
    """The unit's sidecar lists these paths, with the sizes and checksums that they have."""
    files = []
    for path in paths:
        target = Path(run, path) if isinstance(path, str) and "\0" not in path else None
        there = target is not None and target.is_file()
        files.append(
            {
                "path": path,
                "bytes": target.stat().st_size if there else 0,
                "sha256": sha256 or (sha256_of_file(target) if there else "0" * 64),
            }
        )
    sidecar = {"counts": {"rows": 1}, "files": files, "fingerprint": UNIT.fingerprint, "unit": UNIT.name}
    path = sidecar_path(str(run), UNIT.stage, UNIT.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**sidecar, "checksum": fingerprint(sidecar)}))


def test_a_sound_unit_is_taken_over(runs):
    earlier, today = runs
    writer = UnitWriter(str(today), UNIT)
    assert writer.take_over(str(earlier)) is not None
    assert (today / "features" / "bucket-0.tfrecord").read_text() == "data"


OUTSIDE = [
    "../secret",
    "../../../../../../../../etc/passwd",
    "/etc/passwd",
    "features/../../secret",
    "../earlier/features/bucket-0.tfrecord",
    "quarantine/../../secret",
    "quarantine/../../earlier/quarantine/features-bucket-0.parquet",
    "",
    ".",
    "features",
    "x\0y",
    "\ud800",
    7,
    None,
    ["a"],
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_is_taken_over(runs, path, tmp_path):
    earlier, today = runs
    poison(earlier, "features/bucket-0.tfrecord", path)
    before = tree(tmp_path)
    writer = UnitWriter(str(today), UNIT)
    assert writer.take_over(str(earlier)) is None
    assert writer.files == []
    assert tree(tmp_path) == before


def test_an_absolute_name_of_the_earlier_run_leaves_its_file(runs, tmp_path):
    earlier, today = runs
    poison(earlier, str(earlier / "features" / "bucket-0.tfrecord"), "features/lost")
    before = tree(tmp_path)
    UnitWriter(str(today), UNIT).take_over(str(earlier))
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["COMPLETED", "manifest.json", "started.json", "units/index/index.json", "manifests/index.json"]
)
def test_what_makes_a_run_finished_is_not_taken_over(runs, name):
    """Today's run would be published, or its stages skipped, before it has anything."""
    earlier, today = runs
    (earlier / name).parent.mkdir(parents=True, exist_ok=True)
    if not (earlier / name).exists():
        (earlier / name).write_text("{}")
    poison(earlier, name)
    UnitWriter(str(today), UNIT).take_over(str(earlier))
    assert not (today / name).exists()


def test_a_link_in_the_earlier_run_is_not_followed_out_of_it(runs, tmp_path):
    earlier, today = runs
    (earlier / "features" / "link").symlink_to(tmp_path / "secret")
    poison(earlier, "features/link")
    assert UnitWriter(str(today), UNIT).take_over(str(earlier)) is None
    assert not (today / "features" / "link").exists()


@pytest.mark.parametrize("path", OUTSIDE)
def test_stale_files_are_removed_inside_only(runs, path, tmp_path):
    _, today = runs
    poison(today, path)
    before = tree(tmp_path)
    writer = UnitWriter(str(today), UNIT)
    writer.seal()
    assert {name: data for name, data in tree(tmp_path).items() if not name.startswith("today/units")} == {
        name: data for name, data in before.items() if not name.startswith("today/units")
    }


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_unit_is_removed_inside_only(runs, path, tmp_path):
    _, today = runs
    poison(today, path)
    before = tree(tmp_path)
    sidecar = sidecar_path(str(today), UNIT.stage, UNIT.name)
    remove_unit(str(today), sidecar)
    assert not sidecar.exists()
    assert {**tree(tmp_path), sidecar.relative_to(tmp_path).as_posix(): b""}.keys() == before.keys()


@pytest.mark.parametrize("path", [*OUTSIDE, "COMPLETED", "units/features/other.json", "features/link"])
@pytest.mark.parametrize("check_content", [False, True])
def test_a_unit_with_a_file_outside_is_not_finished(runs, path, check_content, tmp_path):
    """Whatever size and checksum that file has: it is redone, and nothing is raised."""
    _, today = runs
    for name in ("COMPLETED", "units/features/other.json"):
        (today / name).parent.mkdir(parents=True, exist_ok=True)
        (today / name).write_text("{}")
    (today / "features").mkdir()
    (today / "features" / "link").symlink_to(tmp_path / "secret")
    poison(today, path)
    assert finished_sidecar(str(today), UNIT, check_content) is None


def test_a_unit_with_an_absolute_name_is_not_finished(runs):
    earlier, _ = runs
    assert finished_sidecar(str(earlier), UNIT, True) is not None
    poison(earlier, str(earlier / "features" / "bucket-0.tfrecord"))
    assert finished_sidecar(str(earlier), UNIT, True) is None


@pytest.mark.parametrize("path", OUTSIDE[:7] + OUTSIDE[-3:])
def test_a_stage_that_lists_a_file_outside_is_not_read(runs, path):
    earlier, _ = runs
    manifest = write_stage_manifest(str(earlier), UNIT.stage, [UNIT.name])
    files = [*manifest["files"], {"path": path, "bytes": 6, "sha256": sha256_of_file(__file__)}]
    write_sealed_json(earlier / "manifests" / f"{UNIT.stage}.json", {**manifest, "files": files})
    with pytest.raises(CorruptFileError, match="expected names of data files inside the run") as caught:
        read_stage_manifest(str(earlier), UNIT.stage)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5_000, "\0", '{"files": {}}', '{"files": 1}', "null"]
)
def test_sidecars_that_are_bombs_are_no_finished_unit(runs, text):
    earlier, today = runs
    for run in runs:
        path = sidecar_path(str(run), UNIT.stage, UNIT.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        assert finished_sidecar(str(run), UNIT) is None
    writer = UnitWriter(str(today), UNIT)
    assert writer.take_over(str(earlier)) is None
    writer.seal()


def test_the_quarantine_that_is_taken_over_is_a_quarantine(runs, tmp_path):
    """A table of other columns under the quarantine's name."""
    earlier, today = runs
    path = earlier / "quarantine" / "features-bucket-0.parquet"
    pq.write_table(pq.read_table(path).select(["item_id"]), path)
    poison(earlier, "features/bucket-0.tfrecord", "quarantine/features-bucket-0.parquet")
    before = tree(tmp_path)
    assert UnitWriter(str(today), UNIT).take_over(str(earlier)) is None
    assert tree(tmp_path) == before


POINTERS = [
    "../..", "/etc", "/", "", "\0", "..", "runs", "runs/2026-06-30", f"./{RUN}", f"{RUN}/..", f"{RUN}/../../..",
    f"x/../{RUN}", f"{RUN}\n{RUN}", "runs/2026-06-30/../../../0123456789abcdef", "runs/2026-06-30/0123456789ABCDEF",
    "\x1b[2J", "runs/٢٠٢٦-06-30/0123456789abcdef", "models/itemsage-0123456789ab", "a" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("pointer", [text.encode() for text in POINTERS] + [b"\xff\xfe", b"\x80" * 50])
def test_a_poisoned_pointer_leads_nowhere(store, tmp_path, pointer):
    (tmp_path / "0123456789abcdef").mkdir()
    (tmp_path / "0123456789abcdef" / "COMPLETED").write_text("x")
    (store / "CURRENT").write_bytes(pointer)
    for read in (
        lambda: store_module.current_run(str(store)),
        lambda: Searcher(str(store)),
        lambda: print_path(PathConfig(what="embeddings", store=str(store))),
    ):
        with pytest.raises((CorruptFileError, UsageError)) as caught:
            read()
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1_000


def test_a_run_that_is_a_link_out_of_the_store_is_not_read(store, tmp_path):
    (store / RUN).rename(tmp_path / "elsewhere")
    (store / RUN).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptFileError):
        store_module.current_run(str(store))


MODELS = [
    "../..",
    "/etc",
    "",
    "\0",
    "itemsage-0123456789ab/..",
    "../models/itemsage-0123456789ab",
    "itemsage-0123456789ab\nx",
    "\x1b[2J",
]


@pytest.mark.parametrize("pointer", [text.encode() for text in MODELS] + [b"\xff\xfe"])
def test_a_poisoned_model_pointer_leads_nowhere(tmp_path, pointer):
    (tmp_path / "models" / "itemsage-0123456789ab").mkdir(parents=True)
    (tmp_path / "models" / "CURRENT").write_bytes(pointer)
    with pytest.raises((CorruptFileError, UsageError)) as caught:
        ITEM_MODELS.current(str(tmp_path))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name",
    ["../../../../secret", "embeddings/../../../../../secret", "/etc/passwd", "embeddings/..", "", "\0", 7, None],
)
@pytest.mark.parametrize("exact", [False, True])
def test_a_published_manifest_names_no_file_outside(store, name, exact):
    run = store / RUN
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["files"].append({"path": name, "bytes": 6, "sha256": sha256_of_file(__file__)})
    write_json(run / "manifest.json", manifest)
    (run / "COMPLETED").write_text(sha256_of_file(run / "manifest.json") + "\n")
    try:
        answer = Searcher(str(store), exact=exact).by_item(["item-07"], 1)
    except (CorruptFileError, UsageError) as error:
        assert str(error).isprintable()  # noqa: PT017 (either is right: refused, or the name ignored)
    else:
        assert len(answer[0]) == 1


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"model_id": 7}', '{"model_id": "x", "files": 3}', "[" * 100_000, "\0"]
)
def test_published_manifests_of_another_kind_are_refused(store, text):
    (store / RUN / "manifest.json").write_text(text)
    (store / RUN / "COMPLETED").write_text(sha256_of_file(store / RUN / "manifest.json") + "\n")
    for exact in (False, True):
        with pytest.raises((CorruptFileError, UsageError)):
            Searcher(str(store), exact=exact)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"num_buckets": "x"}', '{"num_buckets": -1}', '{"num_buckets": 1e400}', "[" * 100_000]
)
def test_a_poisoned_store_description_is_refused(tmp_path, text):
    (tmp_path / "store.json").write_text(text)
    with pytest.raises((CorruptFileError, UsageError)):
        store_module.buckets_for(str(tmp_path), 8)
