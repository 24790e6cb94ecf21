"""Units: finished ones are skipped, anything doubtful is done again."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.console.progress import Progress
from pipelines.run.process_units import ProcessUnits, UnitStage
from pipelines.run.unit_files import sidecar_path
from pipelines.run.units import (
    Unit,
    UnitWriter,
    bucket_name,
    finished_sidecar,
    read_stage_manifest,
    write_stage_manifest,
)
from schemas.errors import CorruptFileError
from schemas.quarantine import Rejection, quote, rejections_to_table
from schemas.tables import QUARANTINE

UNIT = Unit("features", "bucket-0", "print-1")


def rejection(where: str = "c:1", level: str = "row") -> Rejection:
    return Rejection(
        level=level, stage="features", item_id=None, reason="r", expected="e", got="g", where=where, remedy="m"
    )


def write_unit(run: Path, unit: Unit = UNIT, text: str = "data") -> dict[str, Any]:
    writer = UnitWriter(str(run), unit)
    with writer.file(f"out/{unit.name}.txt") as temporary:
        Path(temporary).write_text(text)
    writer.counts["rows"] += len(text)
    writer.quarantine([rejection("c:2"), rejection("c:1"), rejection("c:1", "picture")])
    return writer.seal()


def test_a_finished_unit_is_found_only_while_it_is_whole(tmp_path: Path) -> None:
    assert finished_sidecar(str(tmp_path), UNIT) is None
    write_unit(tmp_path)
    sidecar = finished_sidecar(str(tmp_path), UNIT)
    assert sidecar is not None
    assert sidecar.counts == {"rows": 4, "rows_quarantined": 2, "pictures_quarantined": 1, "reason:r": 3}
    assert [entry.path for entry in sidecar.files] == ["out/bucket-0.txt", "quarantine/features-bucket-0.parquet"]
    assert finished_sidecar(str(tmp_path), Unit("features", "bucket-0", "print-2")) is None
    assert finished_sidecar(str(tmp_path), Unit("embeddings", "bucket-0", "print-1")) is None

    data = tmp_path / "out" / "bucket-0.txt"
    data.write_text("longer data")
    assert finished_sidecar(str(tmp_path), UNIT) is None
    data.unlink()
    assert finished_sidecar(str(tmp_path), UNIT) is None
    write_unit(tmp_path)
    assert finished_sidecar(str(tmp_path), UNIT) == sidecar
    for damage in ("", "{", "[]", '{"fingerprint": "print-1"}', '{"fingerprint": "print-1", "files": [{}]}'):
        sidecar_path(str(tmp_path), "features", "bucket-0").write_text(damage)
        assert finished_sidecar(str(tmp_path), UNIT) is None


def test_a_unit_that_fails_leaves_neither_file_nor_sidecar(tmp_path: Path) -> None:
    def fail() -> None:
        with UnitWriter(str(tmp_path), UNIT).file("out/x") as temporary:
            Path(temporary).write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_quarantine_table_is_ordered_and_quotes_hostile_values(tmp_path: Path) -> None:
    write_unit(tmp_path)
    table = pq.read_table(tmp_path / "quarantine" / "features-bucket-0.parquet")
    assert table.schema == QUARANTINE
    assert list(zip(table["level"].to_pylist(), table["where"].to_pylist(), strict=True)) == [
        ("picture", "c:1"),
        ("row", "c:1"),
        ("row", "c:2"),
    ]
    assert rejections_to_table([]).num_rows == 0
    hostile = quote("\x1b[31m\udcff\n" + "x" * 999)
    assert len(hostile) == 200
    assert hostile.isprintable()


def test_stage_manifest_is_the_sum_of_its_units(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="'features'"):
        read_stage_manifest(str(tmp_path), "features")
    write_unit(tmp_path, Unit("features", "b", "p"), "12345")
    write_unit(tmp_path, Unit("features", "a", "p"), "123")
    manifest = write_stage_manifest(str(tmp_path), "features", ["b", "a"], num_buckets=2)
    assert manifest == read_stage_manifest(str(tmp_path), "features")
    assert (manifest["counts"]["rows"], manifest["num_buckets"], sorted(manifest["units"])) == (8, 2, ["a", "b"])
    assert [entry["path"] for entry in manifest["files"] if entry["path"].startswith("out")] == [
        "out/a.txt",
        "out/b.txt",
    ]
    with pytest.raises(CorruptFileError, match=r"c\.json"):
        write_stage_manifest(str(tmp_path), "features", ["a", "c"])


class _Copy(UnitStage):
    stage = "copy"

    def __init__(self, run: str):
        self.run = run

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        with Path(self.run, "computed").open("a") as file:
            file.write("x")
        with writer.file(f"copy/{unit.name}") as temporary:
            Path(temporary).write_text(unit.name)
        writer.counts["rows"] += 1
        progress.advance()


def test_process_units_computes_only_what_is_missing(tmp_path: Path) -> None:
    def run(fingerprint: str) -> list[str]:
        units = [Unit("copy", bucket_name(bucket, 3), fingerprint) for bucket in range(3)]
        with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
            pipeline | beam.Create(units) | ProcessUnits(str(tmp_path), _Copy(str(tmp_path)))
        Progress.close_shared("copy")
        return [unit.name for unit in units if finished_sidecar(str(tmp_path), unit)]

    assert run("one") == [f"bucket-0000{bucket}-of-00003" for bucket in range(3)]
    written_ns = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "copy").iterdir()}
    num_computed = (tmp_path / "computed").stat().st_size
    run("one")
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "copy").iterdir()} == written_ns
    assert (tmp_path / "computed").stat().st_size == num_computed == 3
    (tmp_path / "copy" / "bucket-00001-of-00003").unlink()
    run("one")
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "copy").iterdir()}
    assert [name for name in now if now[name] != written_ns[name]] == ["bucket-00001-of-00003"]
    assert len(run("two")) == 3


def test_a_unit_is_taken_over_from_an_earlier_run_with_its_counts(tmp_path: Path) -> None:
    earlier, later = tmp_path / "1111", tmp_path / "2222"
    counts = write_unit(earlier)["counts"]
    writer = UnitWriter(str(later), UNIT)
    assert writer.take_over(str(earlier)) == counts
    sidecar = writer.seal()
    names = sorted(entry["path"] for entry in sidecar["files"])
    assert names == sorted(entry.path for entry in finished_sidecar(str(earlier), UNIT).files)
    for name in names:
        if not name.startswith("quarantine/"):
            assert (later / name).read_bytes() == (earlier / name).read_bytes()
    quarantine = pq.read_table(later / "quarantine" / "features-bucket-0.parquet")
    assert set(quarantine["run"].to_pylist()) == {"2222"}
    assert set(pq.read_table(earlier / "quarantine" / "features-bucket-0.parquet")["run"].to_pylist()) == {"1111"}


def test_a_unit_of_other_content_or_a_damaged_one_is_not_taken_over(tmp_path: Path, capsys) -> None:
    earlier, later = tmp_path / "1111", tmp_path / "2222"
    sidecar = write_unit(earlier)
    other = Unit(UNIT.stage, UNIT.name, "another fingerprint")
    assert UnitWriter(str(later), other).take_over(str(earlier)) is None
    assert UnitWriter(str(later), UNIT).take_over(str(tmp_path / "nothing")) is None
    name = next(e["path"] for e in sidecar["files"] if not e["path"].startswith("quarantine/"))
    data = bytearray((earlier / name).read_bytes())
    data[0] ^= 1
    (earlier / name).write_bytes(data)
    writer = UnitWriter(str(later), UNIT)
    assert writer.take_over(str(earlier)) is None
    assert "computed, not taken over" in capsys.readouterr().err
    assert writer.files == []
    assert [path for path in later.rglob("*") if path.is_file()] == []
