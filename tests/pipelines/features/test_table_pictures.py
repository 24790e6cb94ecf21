"""Pictures that came in the table: from ingest to features, again, after a crash, and day by day."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from features_runs import bytes_of, quarantine_of
from features_shop import Shop, counts_of, png

from model.text.vocabulary import Vocabulary
from pipelines.console.jobs import beam_options
from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.table_pictures import share_pictures
from pipelines.operations.inspected_run import read_run
from pipelines.operations.verify.pictures import check_table_pictures
from pipelines.run.accounting import account
from schemas.errors import CorruptFileError, UsageError
from schemas.pictures.stored import keep_picture, stored_name, stored_path

pytestmark = pytest.mark.medium

IMAGE = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
GIVEN: dict[str, list[bytes | str]] = {
    "a": [png(0), "0.png"],
    "b": [png(0)],
    "c": [png(7), b"no picture", png(0)[:900]],
    "d": [png(8), b"\0" * (33 << 20)],
    "e": [],
}


def write_catalogue(path: Path, given: dict[str, list[bytes | str]]) -> str:
    def struct(cell: bytes | str) -> dict[str, Any]:
        return {"path": cell} if isinstance(cell, str) else {"bytes": cell}

    images = pa.array([list(map(struct, cells)) for cells in given.values()], IMAGE)
    pq.write_table(pa.table({"item_id": list(given), "title": list(given), "images": images}), path)
    return str(path)


def ingested(shop: Shop, name: str, given: dict[str, list[bytes | str]] = GIVEN) -> str:
    run = str(shop.folder / name)
    catalog = write_catalogue(shop.folder / "catalogue.parquet", given)
    ingest.run(IngestConfig(run=run, catalog=catalog, num_buckets=3), beam_options([]))
    Vocabulary.hashing(1000).save(Path(run, "vocabulary"))
    return run


def pictures_of(run: str) -> list[str]:
    """The files of pictures/, each of which has its content as its name."""
    paths = sorted(path for path in Path(run, "pictures").rglob("*") if path.is_file())
    assert [path.name for path in paths] == [stored_name(path.read_bytes()).partition(":")[2] for path in paths]
    return [path.relative_to(run).as_posix() for path in paths]


def test_from_the_table_to_vectors_and_the_next_day(shop: Shop) -> None:
    first = ingested(shop, "first")
    assert pictures_of(first) == sorted(
        str(stored_path(stored_name(data))) for data in (png(0), png(7), png(8), b"no picture", png(0)[:900])
    )
    shop.again(first)
    counts = counts_of(first)
    assert (counts["pictures_listed"], counts["pictures_read"], counts["pictures_quarantined"]) == (7, 7, 2)
    assert counts["pictures_computed"] + counts["pictures_reused"] == 5
    rejected = {(row["item_id"], row["stage"]): row for row in quarantine_of(first)}
    assert sorted(row["reason"] for row in quarantine_of(first)) == ["not_a_picture", "too_many_bytes", "truncated"]
    assert rejected["d", "items"]["remedy"].startswith("store a smaller picture")
    second = ingested(shop, "second")
    assert bytes_of(first, "items") == bytes_of(second, "items")
    shop.again(second, reuse_from=first)
    again = counts_of(second)
    assert (again["pictures_read"], again["pictures_computed"], again["pictures_reused"]) == (0, 0, 5)
    assert bytes_of(first) == bytes_of(second)
    assert bytes_of(first, "fingerprints") == bytes_of(second, "fingerprints")


def test_two_days_share_the_files_of_equal_pictures(shop: Shop) -> None:
    first = ingested(shop, "first")
    second = ingested(shop, "second", GIVEN | {"e": [png(9)]})
    Path(first, str(stored_path(stored_name(png(8))))).write_bytes(png(8)[:-1] + b"x")
    before = pictures_of(second)
    for _ in range(2):
        share_pictures(second, first)
        assert pictures_of(second) == before
    shared = {path for path in before if Path(first, path).exists() and Path(first, path).samefile(Path(second, path))}
    assert set(before) - shared == {stored_path(stored_name(data)) for data in (png(8), png(9))}
    shutil.rmtree(first)
    assert pictures_of(second) == before
    share_pictures(second, None)
    share_pictures(str(shop.folder / "none"), second)


@pytest.mark.parametrize("has_earlier", [True, False])
def test_sharing_that_was_killed_leaves_nothing_once_it_is_done_again(
    tmp_path: Path, has_earlier: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    for run in (first, second):
        keep_picture(png(0), run)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            share_pictures(second, first)
    assert len([path for path in Path(second, "pictures").rglob("*") if path.is_file()]) == 2
    share_pictures(second, first if has_earlier else None)
    assert pictures_of(second) == [stored_path(stored_name(png(0)))]


def test_counts_add_up_with_what_cells_do_not_give(shop: Shop) -> None:
    run = ingested(shop, "first")
    shop.again(run)
    items = dict(ingest.read_stage_manifest(run, "items")["counts"])
    assert (items["pictures_in_table"], items["pictures_quarantined"], items["rows_quarantined"]) == (6, 1, 0)
    embeddings = {"rows_written": 5, "rows_computed": 5, "rows_new": 5}
    counts = account({"items": items, "features": dict(counts_of(run)), "embeddings": embeddings})
    assert (counts["pictures_listed"], counts["pictures_quarantined"]) == (8, 3)


def test_another_catalogue_leaves_no_pictures_of_the_one_before(shop: Shop) -> None:
    run = ingested(shop, "first")
    Path(run, "pictures", "00").mkdir(exist_ok=True)
    Path(run, "pictures", "00", ".half.tmp").write_bytes(b"x")
    assert ingested(shop, "first", {"a": [png(0)], "b": ["0.png"]}) == run
    assert pictures_of(run) == [stored_path(stored_name(png(0)))]
    ingested(shop, "first", {"b": ["0.png"]})
    assert not Path(run, "pictures").exists()


def test_a_picture_that_is_gone_is_written_again(shop: Shop) -> None:
    run = ingested(shop, "first")
    lost = Path(run, str(stored_path(stored_name(png(7)))))
    lost.unlink()
    before = pictures_of(run)
    shop.again(run)
    (row,) = [row for row in quarantine_of(run) if row["reason"] == "missing"]
    assert row["remedy"].startswith("run ingest again")
    ingested(shop, "first")
    assert set(pictures_of(run)) - set(before) == {stored_path(stored_name(png(7)))}
    shop.again(run)
    assert "missing" not in {row["reason"] for row in quarantine_of(run)}


def test_a_picture_that_is_another_is_no_picture_of_the_run(shop: Shop) -> None:
    run = ingested(shop, "first")
    Path(run, str(stored_path(stored_name(png(7))))).write_bytes(png(9))
    with pytest.raises(CorruptFileError, match="expected the picture whose sha256 its name says"):
        shop.again(run)


def test_a_published_run_is_not_touched(shop: Shop) -> None:
    run = ingested(shop, "first")
    Path(run, "COMPLETED").write_text("x")
    before = pictures_of(run)
    with pytest.raises(UsageError, match="expected a run that is not published yet"):
        ingested(shop, "first", {"a": [png(11)]})
    assert pictures_of(run) == before


def test_verify_tells_what_is_wrong_with_them(shop: Shop) -> None:
    run = ingested(shop, "first")

    def finding() -> Any:
        (found,) = check_table_pictures(read_run(shop.folder, Path(run))[0])
        return found

    assert (finding().problems, finding().warnings, finding().looked_at) == ([], [], "5 of 5 sound")
    Path(run, str(stored_path(stored_name(png(7))))).write_bytes(png(9))
    Path(run, str(stored_path(stored_name(png(8))))).unlink()
    Path(run, "pictures", "stray").write_bytes(b"")
    assert len(finding().problems) == 2
    assert finding().warnings == ["'pictures/stray' is listed by no item"]
    shutil.rmtree(Path(run, "pictures"))
    assert finding().looked_at == "0 of 5 sound"


def test_runs_without_such_pictures_have_no_such_finding(shop: Shop) -> None:
    run = ingested(shop, "first", {"a": ["0.png"]})
    assert not Path(run, "pictures").exists()
    assert check_table_pictures(read_run(shop.folder, Path(run))[0]) == []
