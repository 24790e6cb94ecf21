"""Tables of files are read at their current version: what was deleted or written again is not read."""

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import UsageError
from schemas.files import expand_inputs
from schemas.reading.rows import plan_slices, read_slice
from schemas.table_folders import _delta_files
from schemas.tables import CATALOGUE
from schemas.validation.catalogue import validate_catalogue

needs_delta = pytest.mark.skipif(
    find_spec("deltalake") is None, reason="TABLES NOT TRIED: pip install 'itemsage[delta]'"
)
needs_iceberg = pytest.mark.skipif(
    find_spec("pyiceberg") is None or find_spec("sqlalchemy") is None,
    reason="TABLES NOT TRIED: pip install 'itemsage[iceberg]' and sqlalchemy",
)


def products(*ids: str, **more: list[str]) -> pa.Table:
    return pa.table({"item_id": list(ids), "title": [f"title of {name}" for name in ids], **more})


def read(folder: Path) -> dict[str, str | None]:
    """id -> title of all items that the folder has."""
    found: dict[str, str | None] = {}
    for part in plan_slices(expand_inputs(str(folder))):
        for raw in read_slice(part, {}, CATALOGUE):
            good, rejected, _ = validate_catalogue(raw, part)
            assert not rejected
            assert found.keys().isdisjoint(good["item_id"].to_pylist())
            found |= dict(zip(good["item_id"].to_pylist(), good["title"].to_pylist(), strict=True))
    return found


def refusal(folder: Path) -> str:
    with pytest.raises(UsageError) as raised:
        expand_inputs(str(folder))
    return str(raised.value)


def add_commit(folder: Path, *actions: dict[str, Any]) -> None:
    """One more version of a Delta table."""
    log = folder / "_delta_log"
    number = len(list(log.glob("*.json")))
    (log / f"{number:020d}.json").write_text("\n".join(map(json.dumps, actions)))


def added(folder: Path) -> dict[str, Any]:
    """The first file that a Delta table was made with."""
    lines = map(json.loads, (folder / "_delta_log" / f"{0:020d}.json").read_text().splitlines())
    return next(line["add"] for line in lines if "add" in line)


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    """A table of a to c and e; d was deleted with its file, b out of one, c was written again."""
    from deltalake import DeltaTable, write_deltalake

    folder = tmp_path / "products"
    write_deltalake(folder, products("a", "b", "c"))
    write_deltalake(folder, products("d"), mode="append")
    table = DeltaTable(folder)
    table.delete("item_id in ('b', 'd')")
    table.update(predicate="item_id = 'c'", new_values={"title": "new"})
    write_deltalake(folder, products("e"), mode="append")
    return folder


@needs_delta
def test_deleted_products_of_a_delta_table_are_not_read(delta: Path) -> None:
    assert len(list(delta.glob("*.parquet"))) > len(expand_inputs(str(delta)))
    assert read(delta) == {"a": "title of a", "c": "new", "e": "title of e"}


class MadeDelta:
    """Stands for the library: a table partitioned by day, of the given files."""

    class exceptions:
        class DeltaError(Exception):
            pass

    def __init__(self, files: list[str]):
        self.files = files

    def DeltaTable(self, _: str) -> Any:
        return SimpleNamespace(
            protocol=lambda: SimpleNamespace(reader_features=None),
            metadata=lambda: SimpleNamespace(partition_columns=["day"], configuration={}),
            file_uris=lambda: self.files,
        )


@pytest.mark.parametrize("end", ["", "/", "//", "/."])
def test_a_partitioned_delta_table_may_end_in_a_slash(end: str) -> None:
    files = ["/x/t/day=1/a.parquet", "/x/t/shop=2/day=2/b.parquet"]
    assert _delta_files(f"/x/t{end}", MadeDelta(files)) == files


@pytest.mark.parametrize("file", ["/x/day=1/t/a.parquet", "/x/day=1/t/someday=1/a.parquet", "/x/day=1/t/day=1"])
def test_a_file_outside_the_folder_of_its_partition_is_refused(file: str) -> None:
    with pytest.raises(UsageError, match="without the folder day="):
        _delta_files("/x/day=1/t", MadeDelta([file]))


@needs_delta
def test_partitions_of_a_delta_table_are_read_from_its_folders(tmp_path: Path) -> None:
    from deltalake import DeltaTable, write_deltalake

    write_deltalake(tmp_path / "t", products("a", "b", brand=["Acme & Co", "é/1"]), partition_by=["brand"])
    DeltaTable(tmp_path / "t").delete("item_id = 'b'")
    write_deltalake(tmp_path / "t", products("c", brand=["50% off"]), mode="append")
    found: dict[str, str | None] = {}
    for part in plan_slices(expand_inputs(str(tmp_path / "t"))):
        for raw in read_slice(part, {}, CATALOGUE):
            good = validate_catalogue(raw, part)[0]
            found |= dict(zip(good["item_id"].to_pylist(), good["brand"].to_pylist(), strict=True))
    assert found == {"a": "Acme & Co", "c": "50% off"}


@needs_delta
@pytest.mark.parametrize(
    ("features", "configuration", "message"),
    [
        (["columnMapping"], {"delta.columnMapping.mode": "name"}, "maps columns to other names"),
        (["someNewFeature"], {}, "needs someNewFeature of its reader|someNewFeature"),
    ],
)
def test_a_delta_table_whose_files_say_it_otherwise_is_refused(
    tmp_path: Path, features: list[str], configuration: dict[str, str], message: str
) -> None:
    from deltalake import write_deltalake

    write_deltalake(tmp_path, products("a"))
    lines = [json.loads(line) for line in (tmp_path / "_delta_log" / f"{0:020d}.json").read_text().splitlines()]
    metadata = next(line["metaData"] for line in lines if "metaData" in line)
    needs = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    schema = json.loads(metadata["schemaString"])
    for number, field in enumerate(schema["fields"], 1):
        field["metadata"] = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": field["name"]}
    metadata["schemaString"] = json.dumps(schema)
    add_commit(tmp_path, {"protocol": needs}, {"metaData": {**metadata, "configuration": configuration}})
    with pytest.raises(UsageError, match=f"the Delta Lake table .*({message}).*folder of plain Parquet files"):
        expand_inputs(str(tmp_path))


@needs_delta
def test_rows_that_a_delta_table_deleted_within_a_file_are_refused(tmp_path: Path) -> None:
    from deltalake import write_deltalake

    write_deltalake(tmp_path, products("a", "b"))
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    needs = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
    add_commit(tmp_path, {"protocol": needs})
    assert read(tmp_path).keys() == {"a", "b"}  # it may have such rows, and has none
    file = added(tmp_path)
    shutil.copy(tmp_path / file["path"], tmp_path / "other.parquet")
    inline = "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L"
    vector = {"storageType": "i", "pathOrInlineDv": inline, "sizeInBytes": 40, "cardinality": 1}
    gone = {"path": file["path"], "deletionTimestamp": 1, "dataChange": True}
    add_commit(tmp_path, {"remove": gone}, {"add": {**file, "path": "other.parquet", "deletionVector": vector}})
    assert "deletion" in refusal(tmp_path).lower()


@needs_delta
def test_a_damaged_delta_table_is_refused(delta: Path) -> None:
    kept = read(delta)
    path = Path(expand_inputs(str(delta))[0])
    path.rename(delta / "_away")
    assert f"names '{path}', where there is no file" in refusal(delta)
    (delta / "_away").rename(path)
    assert read(delta) == kept
    (delta / "_delta_log" / f"{2:020d}.json").write_text("{broken")
    assert "cannot be read" in refusal(delta)


@needs_delta
def test_a_part_of_a_table_is_refused_and_its_folder_named(delta: Path) -> None:
    with pytest.raises(UsageError, match=f"To do: give '{delta}' itself, or"):
        expand_inputs(f"{delta}/*.parquet")


@pytest.fixture
def shop_table(tmp_path: Path) -> Any:
    """An Iceberg table of a to c, of which b was deleted."""
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("shop", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}/lake")
    catalog.create_namespace("shop")
    table = catalog.create_table("shop.products", schema=products("a").schema)
    table.append(products("a", "b"))
    table.delete("item_id = 'b'")
    table.append(products("c"))
    return table


def folder_of(table: Any) -> Path:
    return Path(table.location().removeprefix("file://"))


@pytest.mark.medium
@needs_iceberg
def test_deleted_products_of_an_iceberg_table_are_not_read(shop_table: Any) -> None:
    folder = folder_of(shop_table)
    assert len(list(folder.glob("data/*.parquet"))) > len(expand_inputs(str(folder)))
    assert read(folder).keys() == {"a", "c"}
    shop_table.overwrite(products("z"))
    assert read(folder).keys() == {"z"}


@needs_iceberg
def test_rows_that_an_iceberg_table_deleted_within_a_file_are_refused(
    shop_table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyiceberg reads position deletes, and writes none: it is made to take its manifest of data for one of deletes."""
    from pyiceberg import manifest

    folder = folder_of(shop_table)
    (data, *_) = shop_table.scan().plan_files()
    path = folder / "data" / "deletes.parquet"
    pq.write_table(pa.table({"file_path": [data.file.file_path], "pos": pa.array([0], pa.int64())}), path)
    deletes = manifest.DataFile.from_args(
        content=manifest.DataFileContent.POSITION_DELETES,
        file_path=f"file://{path}",
        file_format=manifest.FileFormat.PARQUET,
        partition=data.file.partition,
        record_count=1,
        file_size_in_bytes=path.stat().st_size,
    )
    deletes.spec_id = data.file.spec_id
    writer = manifest.ManifestWriterV2
    meta = writer._meta.fget
    with monkeypatch.context() as patched:
        patched.setattr(writer, "content", lambda self: manifest.ManifestContent.DELETES)
        patched.setattr(writer, "_meta", property(lambda self: {**meta(self), "content": "deletes"}))
        with shop_table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
            append.append_data_file(deletes)
    assert len(shop_table.scan().to_arrow()) == 1
    assert "has rows deleted within files (delete files)" in refusal(folder)


@needs_iceberg
def test_the_version_that_the_hint_names_is_current(shop_table: Any) -> None:
    folder = folder_of(shop_table)
    (folder / "metadata" / "version-hint.text").write_text("1\n")
    assert read(folder).keys() == {"a", "b"}
    (folder / "metadata" / "version-hint.text").write_text("77")
    assert "has 0 metadata files of number 77" in refusal(folder)


@needs_iceberg
def test_two_versions_of_one_number_are_refused(shop_table: Any) -> None:
    folder = folder_of(shop_table)
    newest = max((folder / "metadata").glob("*.metadata.json"))
    other = "0" if newest.name[6] != "0" else "1"
    shutil.copy(newest, newest.with_name(newest.name[:6] + other + newest.name[7:]))
    assert "has 2 metadata files of number" in refusal(folder)


@needs_iceberg
def test_a_renamed_column_of_an_iceberg_table_is_refused(shop_table: Any) -> None:
    with shop_table.update_schema() as update:
        update.rename_column("title", "name")
    assert "calls 'title': it was renamed" in refusal(folder_of(shop_table))


@needs_iceberg
def test_an_iceberg_table_that_was_moved_or_damaged_is_refused(shop_table: Any, tmp_path: Path) -> None:
    folder = folder_of(shop_table)
    shutil.copytree(folder, tmp_path / "copy")
    assert "it was moved or copied" in refusal(tmp_path / "copy")
    path = Path(expand_inputs(str(folder))[0])
    path.rename(tmp_path / "away")
    assert f"names '{path}', where there is no file" in refusal(folder)
    max((folder / "metadata").glob("*.metadata.json")).write_text("{broken")
    assert "cannot be read" in refusal(folder)


@pytest.mark.parametrize(
    ("mark", "kind", "remedy"),
    [
        ("_delta_log/0.json", "Delta Lake", r"pip install 'itemsage\[delta\]'"),
        ("metadata/v1.metadata.json", "Iceberg", r"pip install 'itemsage\[iceberg\]'"),
        (".hoodie/hoodie.properties", "Hudi", "a folder of plain Parquet files"),
    ],
)
def test_without_its_library_a_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, kind: str, remedy: str
) -> None:
    for name in ("deltalake", "pyiceberg.table"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / mark).parent.mkdir()
    (tmp_path / mark).touch()
    pq.write_table(products("a"), tmp_path / "part-0.parquet")
    with pytest.raises(UsageError, match=f"the {kind} table .*{remedy}"):
        expand_inputs(str(tmp_path))


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (["_spark_metadata/0", "part-0.parquet"], "Spark stream's"),
        (["delta_0000001_0000001_0000/bucket_00000", "delete_delta_0000002_0000002_0000/bucket_00000"], "Hive ACID"),
        (["base_0000005/bucket_00000.parquet"], "Hive ACID"),
        (["_versions/1.manifest", "data/0a1b.lance"], "Lance"),
        (["snapshot/snapshot-1", "schema/schema-0", "bucket-0/data-0.parquet"], "Paimon"),
    ],
)
def test_tables_that_are_not_read_are_refused_by_name(tmp_path: Path, files: list[str], kind: str) -> None:
    for name in files:
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for spec in (tmp_path / "shop", tmp_path / "shop" / files[-1], tmp_path):
        with pytest.raises(UsageError, match=f"the {kind} table .*a folder of plain Parquet files") as error:
            expand_inputs(str(spec))
        assert "rename" not in str(error.value)


def test_files_that_are_called_like_parts_of_a_table_are_read(tmp_path: Path) -> None:
    for name in ("delta_0000001_0000001.csv", "base_0000005"):
        (tmp_path / name).touch()
    assert len(expand_inputs(str(tmp_path))) == 2
