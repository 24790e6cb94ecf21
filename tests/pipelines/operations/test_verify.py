"""Every kind of damage is found, by name; a sound run passes; findings do not hide each other."""

import doctest
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from verified_store import current

from pipelines.operations import findings, inspected_run
from pipelines.operations.findings import FAILED, Finding, format_findings
from pipelines.operations.verify import job as verify
from pipelines.operations.verify.buckets import problems_of_ids, problems_of_record
from pipelines.operations.verify.job import main, verify_run
from pipelines.run.units import read_stage_manifest
from schemas.files import read_json, read_sealed_json, sha256_of_file, write_json, write_sealed_json, write_text
from schemas.hashing import bucket_of
from schemas.records.embeddings import embeddings_metadata, read_embeddings, write_embeddings_file
from schemas.records.tfrecords import ItemFeatures


def failed(found: list[Finding]) -> str:
    return "\n".join(f"{f.check}: {text}" for f in found if f.status == FAILED for text in f.problems)


def test_a_sound_run_passes_every_check(made_store, capsys):
    found = verify_run(made_store, current(made_store))
    assert failed(found) == ""
    assert [f.check for f in found if f.warnings] == []
    looked_at = {f.check: f.looked_at for f in found}
    assert len(looked_at) == len(found) == 16
    assert looked_at["embeddings"] == "40 unit vectors of 256"
    assert looked_at["items"] == "41 rows in 3 buckets"
    assert looked_at["quarantine"].startswith("4 rows")
    assert main(["--store", str(made_store)]) == 0
    assert "16 checks passed" in capsys.readouterr().out


@pytest.mark.parametrize("day", ["2026-06-29", "id", "pointer", "folder"])
def test_runs_are_named_by_date_id_pointer_or_folder(made_store, capsys, day):
    (run,) = (made_store / "runs" / "2026-06-29").iterdir()
    names = {"id": run.name, "pointer": f"runs/2026-06-29/{run.name}", "folder": str(run)}
    assert main(["--store", str(made_store), "--run", names.get(day, day)]) == 0
    out = capsys.readouterr().out
    assert f"readers see {current(made_store).parent.name}/{current(made_store).name}, not this run" in out


@pytest.mark.parametrize("name", ["2026-01-01", "0" * 16, "runs/../..", "nowhere", "a\0b", "/etc"])
def test_runs_that_are_not_there_are_wrong_calls(made_store, capsys, name):
    assert main(["--store", str(made_store), "--run", name]) == 2
    assert "error: expected" in capsys.readouterr().err


def flip(path: Path, position: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * position)] ^= 0x80
    path.write_bytes(data)


def test_all_damages_of_a_run_are_found_at_once(own_store, capsys):
    run = current(own_store)
    folders = ("items", "features", "fingerprints", "embeddings", "quarantine")
    paths = [min((run / name).iterdir()) for name in folders]
    paths += [run / "index" / name for name in ("items.ann", "ids.parquet", "manifest.json")]
    for path in paths:
        flip(path)
    text = failed(verify_run(own_store, run))
    assert [path for path in paths if path.relative_to(run).as_posix() not in text] == []
    assert main(["--store", str(own_store), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] >= 1


def test_a_stranger_among_the_files_of_the_model_is_told(own_store):
    run = current(own_store)
    (own_store / "models" / read_json(run / "manifest.json")["model_id"] / "extra").write_text("x")
    found = verify_run(own_store, run)
    assert failed(found) == ""
    assert any("'extra'" in text for f in found for text in f.warnings)


def rewrite(run: Path, name: str, value: object) -> None:
    """Replaces a listed JSON file and every checksum of it, as somebody would who wants it to be believed."""
    old = sha256_of_file(run / name)
    write_json(run / name, value)
    relist(run, old, name)


def relist(run: Path, old: str, name: str) -> None:
    new, size = sha256_of_file(run / name), (run / name).stat().st_size
    for path in [*run.glob("manifests/*.json"), *run.glob("units/*/*.json"), run / "manifest.json"]:
        value = json.loads(path.read_text().replace(old, new))
        value.pop("checksum", None)
        for entry in value.get("files", []):
            if entry["path"] == name:
                entry["bytes"] = size
        (write_json if path.name == "manifest.json" else write_sealed_json)(path, value)
    finish(run)


def finish(run: Path) -> None:
    """The checksums of the run's records and of its manifest."""
    value = read_json(run / "manifest.json")
    write_json(
        run / "manifest.json", value | {"records": {name: sha256_of_file(run / name) for name in value["records"]}}
    )
    write_text(run / "COMPLETED", sha256_of_file(run / "manifest.json") + "\n")


def test_a_poisoned_index_manifest_is_found_though_its_checksums_fit(own_store):
    run = current(own_store)
    manifest = read_json(run / "index" / "manifest.json")
    rewrite(run, "index/manifest.json", manifest | {"dimension": 8, "model_id": "itemsage-ffffffffffff"})
    text = failed(verify_run(own_store, run))
    assert "manifests/index.json" in text
    assert "index: " in text
    assert "sha256" not in text


def test_a_path_out_of_the_run_is_never_followed(own_store):
    run = current(own_store)
    (own_store / "secret").write_text("x")
    path = run / "manifests" / "items.json"
    value = read_sealed_json(path)
    value["files"].append({"path": "../../../secret", "bytes": 1, "sha256": sha256_of_file(own_store / "secret")})
    write_sealed_json(path, value)
    assert "inside the run, got '../../../secret'" in failed(verify_run(own_store, run))


def test_wrong_vectors_are_found_though_their_checksums_fit(own_store):
    run = current(own_store)
    (path,) = (run / "embeddings").glob("*.parquet")
    ids, matrix = read_embeddings(run / "embeddings")
    old = sha256_of_file(path)
    other = np.roll(matrix, 1, axis=0)
    metadata = embeddings_metadata(read_json(run / "manifest.json")["model_id"], matrix.shape[1])
    write_embeddings_file(path, ids, other, metadata)
    relist(run, old, f"embeddings/{path.name}")
    text = failed(verify_run(own_store, run))
    assert "changes" in text
    assert "expected the vector of the embeddings, got another in items.ann for item" in text


def test_rows_in_a_wrong_bucket_are_found_though_their_checksums_fit(own_store):
    run = current(own_store)
    first, second = sorted(run.glob("items/*.parquet"))[:2]
    olds = [sha256_of_file(path) for path in (first, second)]
    tables = [pq.read_table(path) for path in (first, second)]
    for path, old, table in zip((first, second), olds, tables[::-1], strict=True):
        pq.write_table(table, path)
        relist(run, old, f"items/{path.name}")
    text = failed(verify_run(own_store, run))
    assert "expected ids of bucket 0" in text
    assert "expected ids of bucket 1" in text


def test_counts_that_do_not_add_up_are_found(own_store):
    run = current(own_store)
    path = run / "manifest.json"
    value = read_json(path)
    value["counts"]["rows_read"] += 1
    write_json(path, value)
    write_text(run / "COMPLETED", sha256_of_file(path) + "\n")
    text = failed(verify_run(own_store, run))
    assert f"rows_read in manifest.json {value['counts']['rows_read'] - 1}, got {value['counts']['rows_read']}" in text


@pytest.mark.parametrize("kind", ["items/bucket-*.parquet", "features/bucket-*.tfrecord"])
def test_what_follows_from_a_damaged_file_is_not_told_row_by_row(own_store, kind):
    path = sorted(current(own_store).glob(kind))[0]
    flip(path)
    found = [text for f in verify_run(own_store, current(own_store)) for text in f.problems]
    assert 2 <= len(found) <= 3
    assert all(path.name in text for text in found)


@pytest.mark.parametrize("kind", ["units/embeddings/*.json", "manifests/embeddings.json", "units/items/*.json"])
def test_a_damaged_manifest_or_sidecar_takes_the_blame_itself(own_store, kind):
    path = sorted(current(own_store).glob(kind))[0]
    path.write_text(path.read_text().replace('"counts"', '"bounts"'))
    name = path.relative_to(current(own_store)).as_posix()
    found = [text for f in verify_run(own_store, current(own_store)) for text in f.problems]
    assert "KeyError" not in "".join(found)
    assert [
        text for text in found if name not in text and "not known to be" not in text and "not looked" not in text
    ] == []


@pytest.mark.parametrize("has_gates", [True, False])
def test_a_run_that_its_gates_stopped_is_told_as_such(own_store, has_gates):
    run = current(own_store)
    value = read_json(run / "gates.json")
    value["gates"][0].update(status="failed", message="too few \x1b[31m")
    for name in ("COMPLETED", "manifest.json", "changes.json", "gates.json"):
        (run / name).unlink()
    shutil.rmtree(run / "changes")
    if has_gates:
        write_json(run / "gates.json", value)
    before = next(own_store.glob("runs/2026-06-29/*"))
    write_text(own_store / "CURRENT", f"runs/2026-06-29/{before.name}\n")
    found = verify_run(own_store, run)
    text = failed(found)
    assert "never published" in text
    assert "earlier version" not in format_findings(found)
    assert ("its gates stopped it: 'row_count'" in text) == has_gates
    assert {f.check for f in found if f.status == FAILED} == ({"finished", "gates"} if has_gates else {"finished"})
    assert "\x1b" not in text


def test_a_failed_gate_is_found(own_store):
    run = current(own_store)
    value = read_json(run / "gates.json")
    value["gates"][0]["status"] = "failed"
    value["gates"][1]["status"] = "accepted"
    write_json(run / "gates.json", value)
    text = failed(verify_run(own_store, run))
    assert repr(value["gates"][0]["name"]) in text
    assert f"the reason for accepting {value['gates'][1]['name']!r}" in text


def test_strays_leftovers_and_pointers(own_store):
    run = current(own_store)
    for name in ("features/other.tfrecord", "embeddings/.part.parquet.0a1b2c3d.tmp", "index/\x1b[31m"):
        (run / name).write_bytes(b"x")
    write_text(own_store / "CURRENT", "runs/2026-06-28/0123456789abcdef\n")
    found = verify_run(own_store, run)
    assert "pointers: expected" in failed(found)
    warnings = {f.check: f.warnings for f in found}["unlisted files"]
    assert len(warnings) == 3
    assert {f.check: f.looked_at for f in found}["unlisted files"].startswith("3 of ")
    assert "\x1b" not in format_findings(found)
    assert "itemsage gc" in "\n".join(warnings)


def test_changes_without_the_run_before(own_store):
    run = current(own_store)
    shutil.rmtree(own_store / "runs" / "2026-06-29")
    found = verify_run(own_store, run)
    assert failed(found) == ""
    assert any("is gone" in text for f in found for text in f.warnings)


def test_a_run_without_anything_is_a_list_of_failures(own_store):
    run = current(own_store)
    for path in run.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = verify_run(own_store, run, rebuild=3)
    assert {"finished", "manifests", "agreement", "embeddings", "index", "items", "rebuild"} <= {
        f.check for f in found if f.status == FAILED
    }


def test_ids_of_a_bucket():
    names = sorted((f"i{n}" for n in range(30)), key=str)
    mine = [name for name in names if bucket_of(name, 4) == 1]
    assert problems_of_ids(mine, 1, 4, "x") == []
    assert "after" in problems_of_ids([mine[1], mine[0]], 1, 4, "x")[0]
    assert "after" in problems_of_ids([mine[0], mine[0]], 1, 4, "x")[0]
    (problem,) = problems_of_ids(sorted({*mine, "i0", "i1", "i2", "i3"}), 1, 4, "x")
    assert "of bucket" in problem


def record(**given) -> ItemFeatures:
    values = {
        "item_id": "a",
        "token_ids": np.array([1, 2], np.int32),
        "token_offsets": np.array([0] * 12 + [2], np.int32),
        "pictures": np.ones((1, 4), np.float16),
        "picture_sha256": (b"x" * 32,),
    }
    return ItemFeatures(**{**values, **given})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"token_offsets": np.array([0] * 12 + [3], np.int32)}, "offsets"),
        ({"token_offsets": np.array([0, 2, 1] + [2] * 10, np.int32)}, "offsets"),
        ({"token_ids": np.array([0, 2], np.int32)}, "token ids"),
        ({"token_ids": np.array([1, 9], np.int32)}, "token ids"),
        ({"pictures": np.ones((1, 5), np.float16)}, "pictures of 4"),
        ({"pictures": np.full((1, 4), np.nan, np.float16)}, "finite"),
        ({"picture_sha256": ()}, "digests"),
    ],
)
def test_records_are_what_they_promise(given, expected):
    problems = problems_of_record(record(**given), 4, 9)
    assert (problems == []) if expected is None else expected in problems[0]


def test_wrong_flags(made_store, tmp_path, capsys):
    assert main(["--store", str(tmp_path / "none")]) == 2
    assert main(["--store", str(tmp_path)]) == 2
    assert main(["--store", str(made_store), "--rebuild", "-1"]) == 2
    assert main(["--store", str(made_store), "--rebuild", "1", "--image-root", str(tmp_path / "none")]) == 2
    assert "itemsage daily" in capsys.readouterr().err


def test_examples():
    for module in (findings, inspected_run, verify):
        assert doctest.testmod(module).failed == 0


@pytest.mark.slow
def test_a_real_run_computed_again_gives_equal_bytes(real_store, shop):
    run = current(real_store)
    (rebuilt,) = [f for f in verify_run(real_store, run, 12, str(shop)) if f.check == "rebuild"]
    assert (rebuilt.problems, rebuilt.warnings) == ([], [])
    assert rebuilt.looked_at.startswith("12 items, ")
    assert failed(verify_run(real_store, run)) == ""
    assert read_stage_manifest(str(run), "features")["picture_dim"] > 0


@pytest.mark.slow
def test_pictures_that_changed_since_are_no_fault(real_store, shop):
    (before,) = (real_store / "runs" / "2026-06-29").iterdir()
    (rebuilt,) = [f for f in verify_run(real_store, before, 1000, str(shop)) if f.check == "rebuild"]
    assert rebuilt.problems == []
    assert len(rebuilt.warnings) == 1
    assert "changed since" in rebuilt.warnings[0]


@pytest.mark.slow
def test_a_run_of_another_model_is_not_what_rebuilding_gives(real_store, shop, tmp_path):
    """One vector exchanged, all checksums made to fit: only computing it again tells."""
    folder = Path(shutil.copytree(real_store, tmp_path / "store", symlinks=True))
    run = current(folder)
    (path,) = (run / "embeddings").glob("*.parquet")
    old = sha256_of_file(path)
    ids, matrix = read_embeddings(run / "embeddings")
    metadata = embeddings_metadata(read_json(run / "manifest.json")["model_id"], matrix.shape[1])
    write_embeddings_file(path, ids, np.roll(matrix, 1, axis=0), metadata)
    relist(run, old, f"embeddings/{path.name}")
    (rebuilt,) = [f for f in verify_run(folder, run, 5, str(shop)) if f.check == "rebuild"]
    assert len(rebuilt.problems) == 5
    assert "apart for item" in rebuilt.problems[0]
