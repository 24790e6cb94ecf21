"""The checklist before a run: a good case, what is wrong told with its remedy, nothing left behind."""

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from decoded_pictures import SMALL
from doctor_findings import by_name
from exploration import soak
from made_pictures import encoded, smooth_picture
from PIL import Image

from model.pictures.faults import PictureLimits
from pipelines.console.jobs import parse_alone
from pipelines.operations.doctor.inputs import check_mapping, check_pictures, first_rows
from pipelines.operations.doctor.job import DoctorConfig, diagnose, main
from pipelines.operations.doctor.machine import check_disk, check_file_system
from pipelines.operations.findings import FAILED, OK, WARNING, Finding
from schemas.files import read_sealed_json, write_sealed_json


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory) -> Path:
    """A folder with catalog.parquet (two good rows, one without id) and two pictures."""
    folder = tmp_path_factory.mktemp("catalogue")
    for number in range(2):
        Image.new("RGB", (30, 30), (number * 100, 0, 0)).save(folder / f"{number}.png")
    rows = {"item_id": ["a", "b", None], "title": ["red", "blue", "x"], "images": [["0.png"], ["1.png"], []]}
    pq.write_table(pa.table(rows), folder / "catalog.parquet")
    return folder


def files_of(folder: Path) -> dict[str, int]:
    return {path.as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.medium
def test_a_shop_before_its_first_training(catalogue, tmp_path, capsys):
    found = by_name(
        diagnose(
            DoctorConfig(catalog=f"{catalogue}/catalog.parquet", image_root=str(catalogue), store=str(tmp_path / "s"))
        )
    )
    assert [f.check for f in found.values() if f.status == FAILED] == []
    assert found["inputs"].looked_at.startswith("catalogue: 1 files, 3 rows")
    assert found["columns of catalogue"].looked_at.startswith("3 of 14 are there; missing: description,")
    assert found["pictures"].looked_at.startswith("2 of 2 can be opened")
    assert found["sample"].looked_at == "2 of the first 3 rows -> items 2"
    assert found["sample"].warnings[0].startswith("1 null_id: expected an item_id")
    assert "itemsage train" in found["weights"].warnings[0]
    assert not (tmp_path / "s").exists()
    assert list(tmp_path.iterdir()) == []


def test_missing_columns_are_told_with_what_may_be_meant(catalogue, tmp_path, capsys):
    table = pq.read_table(catalogue / "catalog.parquet").rename_columns(["itemID", "Titel", "image"])
    pq.write_table(table, tmp_path / "catalog.parquet")
    assert main(["--catalog", f"{tmp_path}/catalog.parquet", "--json"]) == 2
    (columns,) = [f for f in json.loads(capsys.readouterr().out)["findings"] if f["check"] == "columns of catalogue"]
    assert columns["status"] == FAILED
    assert "item_id" in columns["problems"][0]
    assert any("[columns] item_id = 'itemID'" in text for text in columns["warnings"])
    assert any("title = 'Titel'" in text for text in columns["warnings"])
    assert "not read: itemID, Titel, image" in columns["looked_at"]


def test_mapped_columns_are_found(catalogue, tmp_path):
    table = pq.read_table(catalogue / "catalog.parquet").rename_columns(["sku", "name", "images"])
    pq.write_table(table, tmp_path / "catalog.parquet")
    (tmp_path / "shop.toml").write_text(
        f'catalog = "{tmp_path}/catalog.parquet"\n[columns]\nitem_id = "sku"\ntitle = "name"\n'
    )
    found = check_mapping("catalogue", [f"{tmp_path}/catalog.parquet"], {"item_id": "sku", "title": "name"})
    assert found.status == OK
    assert main(["--config", f"{tmp_path}/shop.toml", "--image-root", str(catalogue)]) == 0


def test_no_column_is_asked_for_whose_name_is_only_part_of_ours(tmp_path):
    (tmp_path / "a.csv").write_text("item_id,title,Types\n1,mug,x\n")
    (warning,) = check_mapping("catalogue", [f"{tmp_path}/a.csv"], {}).warnings
    assert warning.startswith("product_types is missing; is it 'Types'?")  # no size_type
    (tmp_path / "b.csv").write_text("item_id,title,Set\n1,mug,x\n")
    assert check_mapping("catalogue", [f"{tmp_path}/b.csv"], {}).warnings == []


@pytest.mark.parametrize(
    ("table", "header", "asked"),
    [
        ("catalogue", "item_id,title,vendor", "brand"),
        ("engagements", "timestamp,item_id,session_id,action,visitor", "user_id"),
    ],
)
def test_a_column_of_a_usual_name_that_nobody_reads_is_asked_for(tmp_path, table, header, asked):
    """Where there are other texts, or sessions, the jobs do not ask."""
    (tmp_path / "a.csv").write_text(f"{header}\n")
    finding, section = (
        check_mapping(table, [f"{tmp_path}/a.csv"], {}),
        "columns" if asked == "brand" else f"columns.{table}",
    )
    assert not finding.problems
    theirs = header.rpartition(",")[2]
    assert finding.warnings == [
        f"{asked} is missing; is it '{theirs}'? then map it, in the config: [{section}] {asked} = '{theirs}'"
    ]


@pytest.mark.parametrize("images", ["images", "image_link"])
def test_what_is_mapped_or_never_meant_is_not_asked_for(tmp_path, images):
    """A second column of pictures, and the address of a page."""
    (tmp_path / "a.csv").write_text(f"item_id,title,{images},picture,link\na,b,1.jpg,2.jpg,https://x.example/\n")
    found = check_mapping("catalogue", [f"{tmp_path}/a.csv"], {"images": images})
    assert (found.warnings, found.problems) == ([], [])
    assert "not read: picture, link" in found.looked_at


def test_without_an_image_encoder_no_weights_are_missed(tmp_path):
    found = by_name(diagnose(DoctorConfig(image_encoder="none")))["weights"]
    assert (found.status, found.looked_at) == (OK, "no image encoder, by --image-encoder none")


def test_columns_of_text_files(tmp_path):
    (tmp_path / "a.csv").write_text("item_id,titel\nx,red\n")
    (tmp_path / "b.jsonl").write_text('{"item_id": "x", "colours": "red"}\n')
    assert "title = 'titel'" in check_mapping("catalogue", [f"{tmp_path}/a.csv"], {}).warnings[0]
    assert "colors = 'colours'" in check_mapping("catalogue", [f"{tmp_path}/b.jsonl"], {}).warnings[0]
    wrong = check_mapping("engagements", [f"{tmp_path}/a.csv"], {})
    assert wrong.status == FAILED
    assert "timestamp" in wrong.problems[0]


def test_columns_that_lead_into_others_are_there(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"event_timestamp": 1781000000000000, "items": [{"item_id": "a"}], "x": 1}')
    columns = {"timestamp": "event_timestamp", "item_id": "items.item_id", "surface": {"constant": "home"}}
    found = check_mapping("engagements", [f"{tmp_path}/log.jsonl"], {"engagements": columns})
    assert (found.problems, found.warnings) == ([], [])
    assert "missing: user_id, session_id, query, action; not read: x" in found.looked_at


def test_columns_that_folders_give_are_there(tmp_path):
    folder = tmp_path / "season=2026" / "category=Chairs"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("item_id,title\nx,red\n")
    found = check_mapping("catalogue", [f"{folder}/a.csv"], {"product_types": "category"})
    assert found.looked_at.startswith("3 of 14 are there; ")
    assert found.looked_at.endswith("not read: season")
    assert "'season'" in check_mapping("catalogue", [f"{folder}/a.csv"], {"domains": "seasons"}).warnings[0]


@pytest.mark.medium
def test_a_wrong_image_root_is_told(catalogue, tmp_path):
    call = ["--catalog", f"{catalogue}/catalog.parquet", "--image-root"]
    assert main([*call, str(tmp_path / "none")]) == 2
    assert main([*call, str(tmp_path)]) == 3
    found = by_name(diagnose(DoctorConfig(catalog=call[1], image_root=str(tmp_path / "none"))))
    assert "where there is none: `itemsage fetch-images` makes it for pictures by URL" in (
        str(found["pictures"].problems[0])
    )
    found = by_name(diagnose(DoctorConfig(catalog=call[1], image_root=str(tmp_path))))
    assert found["pictures"].problems[0].startswith("2 of 2 missing: expected a file")


def test_the_caps_on_pictures_are_those_of_the_run(catalogue, tmp_path):
    """As flags, and as what the config file says for `daily`."""
    given = {"catalog": f"{catalogue}/catalog.parquet", "image_root": str(catalogue)}
    pictures = by_name(diagnose(DoctorConfig(**given, max_picture_bytes=9)))["pictures"]
    assert pictures.problems[0].startswith("2 of 2 too_many_bytes: expected at most 9 bytes")
    (tmp_path / "shop.toml").write_text("[daily]\nmax_picture_pixels = 899\n")
    config = parse_alone(DoctorConfig, ["--config", f"{tmp_path}/shop.toml"], "itemsage doctor", "")
    limits = PictureLimits(max_pixels=config.max_picture_pixels)
    inputs = first_rows([given["catalog"]], {}, 3, Finding("inputs"), str(tmp_path))
    pictures = check_pictures(inputs, str(catalogue), SimpleNamespace(preprocessing=SMALL), limits)
    assert pictures.problems[0].startswith("2 of 2 too_many_pixels: expected at most 899 pixels, got 30 x 30")


def test_pictures_of_the_table_are_looked_at_and_leave_nothing_behind(tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    good = encoded(smooth_picture(0, (30, 30)), "PNG")
    cells = pa.array([{"bytes": good}, {"bytes": b"no picture"}, {"path": "none.jpg"}], kind)
    ids = ["a", "b", "c"]
    pq.write_table(pa.table({"item_id": ids, "title": ids, "images": cells}), tmp_path / "c.parquet")
    found = by_name(diagnose(DoctorConfig(catalog=f"{tmp_path}/c.parquet", image_root=str(tmp_path))))
    assert found["pictures"].looked_at.startswith("1 of 3 can be opened")
    assert [text.partition(":")[0] for text in found["pictures"].warnings] == ["1 of 3 missing", "1 of 3 not_a_picture"]
    assert "items 3" in found["sample"].looked_at
    assert list((tmp_path / "scratch").iterdir()) == []


def test_pictures_are_decoded_without_an_image_encoder_too(catalogue):
    """A file of a picture's name is none by its name alone."""
    (catalogue / "0.png").write_text("<html>log in</html>")
    given = {"catalog": f"{catalogue}/catalog.parquet", "image_root": str(catalogue)}
    for more in ({}, {"image_encoder": "none"}):
        pictures = by_name(diagnose(DoctorConfig(**given, **more)))["pictures"]
        assert pictures.looked_at.startswith("1 of 2 can be opened")
        assert pictures.warnings[0].startswith("1 of 2 not_a_picture: expected")


def test_inputs_that_are_not_there(tmp_path):
    (tmp_path / "catalog.dat").write_text("x")
    pq.write_table(pa.table({"item_id": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    for name, message in (
        ("none.parquet", "nothing is found"),
        ("catalog.dat", "ends in"),
        ("empty.parquet", "expected rows"),
    ):
        found = by_name(diagnose(DoctorConfig(catalog=f"{tmp_path}/{name}")))
        assert message in found["inputs"].problems[0]
        assert "neither" not in found["inputs"].looked_at


@pytest.mark.medium
@pytest.mark.parametrize("is_counted", [True, *soak(False)])
def test_a_column_that_the_published_run_had_values_in_and_the_catalogue_lost(own_store, tmp_path, is_counted):
    path = next(own_store.glob("runs/2026-06-30/*")) / "manifests" / "items.json"
    if is_counted:
        value = read_sealed_json(path)
        value["counts"] |= {"field:title": 40, "field:brand": 26, "field:colors": 0}
        write_sealed_json(path, value)
    pq.write_table(pa.table({"item_id": ["a"], "name": ["red"], "images": [[]]}), tmp_path / "c.parquet")
    call = {"catalog": f"{tmp_path}/c.parquet", "image_root": str(tmp_path), "store": str(own_store)}
    warnings = by_name(diagnose(DoctorConfig(**call)))["columns of catalogue"].warnings
    lost = [text for text in warnings if "which would be empty" in text]
    assert ["'title'" in lost[0], "'brand'" in lost[1], len(lost)] == [True, True, 2]
    if is_counted:
        assert "title in 40 rows" in lost[0]
    warnings = by_name(diagnose(DoctorConfig(**call, columns={"title": "name"})))["columns of catalogue"].warnings
    assert not any("title" in text for text in warnings)
    path.write_text("{")
    warnings = by_name(diagnose(DoctorConfig(**call)))["columns of catalogue"].warnings
    assert any("cannot be read" in text for text in warnings)


def test_a_catalogue_whose_rows_are_all_rejected_is_told_with_its_reason(tmp_path, capsys):
    (tmp_path / "c.csv").write_bytes(
        "item_id,brand,titel,images\nÿ1,x,tasse,rot.jpg\nÿ2,y,hut,ÿ.jpg\n".encode("latin-1")
    )
    assert main(["--catalog", f"{tmp_path}/c.csv", "--image-root", str(tmp_path)]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert "first rows list no picture" not in "".join(lines)
    assert any("not looked at: none of the first 2 rows is valid" in line for line in lines)
    (told,) = [line for line in lines if "expected valid rows at the beginning of the catalogue" in line]
    assert "got 2 bad_utf8" in told
    assert "c.csv:2" in told
    assert "export the table as UTF-8" in told
    assert lines[-1].startswith("1 of 10 checks FAILED, 2 with warnings")  # that of the columns, and that of pictures


def test_cells_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / "c.csv").write_bytes("item_id,title,brand\na,grÿße,x\nb,hut,x\n".encode("latin-1"))
    call = {"catalog": f"{tmp_path}/c.csv", "image_encoder": "none"}
    first, second = by_name(diagnose(DoctorConfig(**call)))["sample"].warnings
    assert "1 of the first 2 cells of title cannot be read" in first
    assert "expected UTF-8 in title" in second
    assert "c.csv:2" in second
    assert "[format] encoding" in second


def test_an_example_names_the_rows_file(tmp_path):
    (tmp_path / "c.csv").write_text("item_id,title,images\n" + "".join(f"{n % 3},mug {n},\n" for n in range(4)))
    (warning,) = by_name(diagnose(DoctorConfig(catalog=f"{tmp_path}/c.csv", image_encoder="none")))["sample"].warnings
    assert "again with other content in c.csv:5, which stays (item '0', 'c.csv:2')" in warning


def test_long_ids_and_paths_are_shortened(tmp_path):
    rows = {"item_id": ["x" * 400, "x" * 400], "title": ["red", "blue"], "images": [["p" * 190 + ".jpg"], []]}
    pq.write_table(pa.table(rows), tmp_path / "c.parquet")
    found = diagnose(DoctorConfig(catalog=f"{tmp_path}/c.parquet", image_root=str(tmp_path), image_encoder="none"))
    texts = [text for f in found for text in (*f.problems, *f.warnings)]
    assert any("duplicate_id" in text for text in texts), texts
    assert any("missing" in text for text in texts)
    assert not any("x" * 80 in text or "p" * 130 in text for text in texts)


def test_the_date_goes_into_the_path(catalogue, tmp_path, capsys):
    (tmp_path / "2026-06-30.parquet").write_bytes((catalogue / "catalog.parquet").read_bytes())
    call = ["--catalog", f"{tmp_path}/{{date}}.parquet", "--image-root", str(catalogue)]
    assert main([*call, "--date", "2026-06-30"]) == 0
    assert main([*call, "--date", "2026-07-01"]) == 2
    assert "2026-07-01.parquet" in capsys.readouterr().out
    assert main(call) == 2
    assert "--date" in capsys.readouterr().err


@pytest.mark.parametrize(
    "call",
    [["--sample-rows", "0"], ["--date", "30.06.2026"], ["--columns", "x"], ["--imageroot", "x"], ["--rows", "many"]],
)
def test_wrong_flags(call, capsys):
    try:
        code = main(call)
    except SystemExit as error:  # argparse
        code = error.code
    assert code == 2


def test_a_damaged_model_is_found(own_store):
    (model,) = (own_store / "models").glob("itemsage-*")
    data = bytearray((model / "item_encoder.safetensors").read_bytes())
    data[100] ^= 1
    (model / "item_encoder.safetensors").write_bytes(data)
    found = by_name(diagnose(DoctorConfig(store=str(own_store))))
    assert "item_encoder.safetensors" in found["weights"].problems[0]
    assert found["file system"].status == OK


def test_an_unknown_model_is_found(own_store):
    found = by_name(diagnose(DoctorConfig(store=str(own_store), model="itemsage-ffffffffffff")))
    assert "itemsage-ffffffffffff" in found["weights"].problems[0]


def test_the_store_stays_as_it_is(made_store):
    before = files_of(made_store)
    check_file_system(made_store)
    check_disk(made_store, None, 0)
    assert files_of(made_store) == before


@pytest.mark.slow
def test_a_shop_with_a_model_goes_through_every_stage(real_store, shop, capsys):
    before = files_of(real_store)
    call = ["--store", str(real_store), "--catalog", f"{shop}/catalog.parquet", "--image-root", str(shop)]
    assert main([*call, "--engagements", f"{shop}/engagements.parquet", "--sample-rows", "20", "--json"]) == 0
    found = {f["check"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
    assert " -> index " in found["sample"]["looked_at"]
    assert "efficientnet_lite0 in " in found["device"]["looked_at"]
    assert found["columns of engagements"]["status"] == OK
    assert found["pictures"]["status"] == WARNING
    assert files_of(real_store) == before
