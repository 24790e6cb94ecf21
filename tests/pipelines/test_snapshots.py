"""A catalogue in folders of several days is refused, not read as their union; a log's days are all read."""

from pathlib import Path

import pytest

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.plan import plan_ingest
from pipelines.init import job as init
from schemas.errors import UsageError
from schemas.reading.snapshots import catalogue_files

ROW = "item_id,title,images\nA-1,Red mug,a.jpg\n"


def write(folder: Path, *folders: str) -> str:
    for name in folders:
        (folder / name).mkdir(parents=True)
        (folder / name / "part-0.csv").write_text(ROW)
    return str(folder)


@pytest.mark.parametrize(
    ("first", "last", "in_config"),
    [
        ("dt=2026-06-29", "dt=2026-06-30", "dt={date}"),
        ("snapshot_date=2026-06-29", "snapshot_date=2026-06-30", "snapshot_date={date}"),
        ("region=eu/ds=2026-06-29", "region=eu/ds=2026-06-30", "region=eu/ds={date}"),
        ("loadDate=2026-06-29T00%3A00", "loadDate=2026-06-30T00%3A00", "loadDate={date}T00%3A00"),
        ("2026-06-29", "2026-06-30", "{date}"),
        ("dt=20260629", "dt=20260630", ""),
        ("20260629", "20260630", ""),
        ("year=2026/month=6/day=29", "year=2026/month=06/day=30", ""),
    ],
)
def test_a_folder_of_days_is_refused_with_the_one_to_give(tmp_path, first, last, in_config) -> None:
    folder = write(tmp_path / "products", first, last)
    with pytest.raises(UsageError) as caught:
        catalogue_files(folder)
    message = str(caught.value)
    assert f"got folders of 2 days in {folder}" in message
    assert f"Give the folder of a day, {folder}/{last}" in message
    assert (f'catalog = "{folder}/{in_config}"' in message) == bool(in_config)
    assert len(catalogue_files(f"{folder}/{last}")) == 1
    assert len(catalogue_files(f"{folder}/*")) == 2
    if in_config:
        assert catalogue_files(f"{folder}/{in_config}", "2026-06-30") == [f"{folder}/{last}/part-0.csv"]


@pytest.mark.parametrize(
    "folders",
    [
        ("dt=2026-06-30",),
        ("dt=2026-06-30/part=1", "dt=2026-06-30/part=2"),
        ("launch_date=2026-06-29", "launch_date=2026-06-30"),
        ("created_at=2026-06-29", "created_at=2026-06-30"),
        ("category=20260629", "category=20260630"),
        ("day=Monday", "day=Tuesday"),
        ("year=2025", "year=2026"),
        ("dt=2026-13-01", "dt=2026-13-02"),
        ("a", "b"),
    ],
)
def test_other_folders_are_parts(tmp_path, folders) -> None:
    assert len(catalogue_files(write(tmp_path / "products", *folders))) == len(folders)


def write_files(folder: Path, *names: str) -> str:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(ROW)
    return str(folder)


@pytest.mark.parametrize(
    ("names", "in_config"),
    [
        (("products-2026-06-29.csv", "products-2026-06-30.csv"), "products-{date}.csv"),
        (("2026-06-29_products.csv", "2026-06-30_products.csv"), "{date}_products.csv"),
        (("products_20260629_0600.csv", "products_20260630_0601.csv"), ""),
        (("products.29.06.2026.csv", "products.30.06.2026.csv"), ""),
        (("p-2026-06-29-part-0.csv", "p-2026-06-29-part-1.csv", "p-2026-06-30-part-0.csv"), "p-{date}-part-0.csv"),
        (("a.csv", "p-2026-06-29.csv", "p-2026-06-30.csv"), "p-{date}.csv"),
    ],
)
def test_files_of_several_days_are_refused_with_the_one_to_give(tmp_path, names, in_config) -> None:
    folder = write_files(tmp_path / "products", *names)
    with pytest.raises(UsageError) as caught:
        catalogue_files(folder)
    message = str(caught.value)
    assert f"got files of 2 days in {folder}" in message
    assert f"Give the file of a day, {folder}/{names[-1]}" in message
    assert (f'catalog = "{folder}/{in_config}"' in message) == bool(in_config)
    assert len(catalogue_files(f"{folder}/*")) == len(names)
    if in_config:
        assert catalogue_files(f"{folder}/{in_config}", "2026-06-30") == [f"{folder}/{names[-1]}"]


@pytest.mark.parametrize(
    "names",
    [
        ("p-2026-06-30-part-0.csv", "p-2026-06-30-part-1.csv"),
        ("shoes-2026-06-29.csv", "shirts-2026-06-30.csv"),
        ("part-00000001.csv", "part-00000002.csv"),
        ("p-20261301.csv", "p-20261302.csv"),
        ("p-2025.csv", "p-2026.csv"),
        ("part-0-20260629x.csv", "part-1-20260629x.csv"),
    ],
)
def test_other_files_are_parts(tmp_path, names) -> None:
    assert len(catalogue_files(write_files(tmp_path / "products", *names))) == len(names)


def test_the_jobs_and_init_refuse_it_and_a_log_is_read_whole(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("products"), "dt=2026-06-29", "dt=2026-06-30")
    with pytest.raises(UsageError, match="folders of 2 days"):
        plan_ingest(IngestConfig(catalog="products", run="run", date="2026-06-30"))
    assert init.main(["products"]) == 2
    assert "Give the folder of a day, products/dt=2026-06-30" in capsys.readouterr().err
    for day in ("2026-06-29", "2026-06-30"):
        Path(f"log/dt={day}").mkdir(parents=True)
        Path(f"log/dt={day}/0.csv").write_text(f"timestamp,user_id,item_id,event\n{day}T10:00:00Z,u,A-1,view\n")
    assert init.main(["--from", "ga4", "log", "--catalog", "products/dt=2026-06-30"]) == 0
    assert init.main(["--force", "--from", "ga4", "log", "--catalog", "products"]) == 2


@pytest.mark.parametrize(
    "copy",
    [
        *("products (1).csv", "products(2).csv", "products copy.csv", "products copy 2.csv", "products - Copy.csv"),
        *("products - Copy (2).csv", "Kopie von products.csv", "Copy of Products.csv", "Copie de products.csv"),
        *("products - Kopie.csv", "products.csv.bak", "products.csv.old", "products.csv~", "products_old.csv"),
        *("products-backup.csv", "products.bak.csv", "Copia de products.csv"),
    ],
)
def test_a_copy_beside_a_file_is_refused_and_a_glob_says_that_both_are_meant(tmp_path: Path, copy: str) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for name in ("products.csv", copy):
        (folder / name).write_text(ROW)
    with pytest.raises(UsageError) as caught:
        catalogue_files(str(folder))
    message = str(caught.value)
    assert f"got 2 copies in {folder}: 'products.csv' and {copy!r}" in message
    assert f"Give the one that is right, as {folder}/products.csv" in message
    assert len(catalogue_files(f"{folder}/*")) == 2
    assert len(catalogue_files(f"{folder}/products.csv")) == 1


def test_two_downloads_without_the_first_are_copies_too(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"products ({number}).csv").write_text(ROW)
    with pytest.raises(UsageError, match="got 2 copies"):
        catalogue_files(str(tmp_path))


@pytest.mark.parametrize(
    "names",
    [
        ("part-1.csv", "part-2.csv"),
        ("part_1.csv", "part_2.csv"),
        ("gold.csv", "g.csv"),
        ("products (1).csv",),
        ("a/products.csv", "b/products (1).csv"),
        ("shoes.csv", "shoes-kids.csv"),
        ("items.csv", "items.jsonl"),
        ("old.csv", "copy.csv"),
    ],
)
def test_parts_are_no_copies(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(ROW)
    assert len(catalogue_files(str(tmp_path))) == len(names)


def test_init_and_ingest_refuse_copies(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    for name in ("products.csv", "products (1).csv"):
        (tmp_path / "d" / name).write_text(ROW)
    assert init.main(["d"]) == 2
    assert "got 2 copies in d" in capsys.readouterr().err
    with pytest.raises(UsageError, match="got 2 copies in d"):
        plan_ingest(IngestConfig(run="r", catalog="d"))
