"""Pictures in the cells of a table, in every container: named by their content; what is none costs itself."""

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pictures import encoded, smooth_picture

from schemas.arrow_types import holds_bytes
from schemas.cells.lists import MAX_ADDRESS_CHARACTERS, list_members
from schemas.columns.spec import Columns, parse_column
from schemas.parquet import batches as parquet_batches
from schemas.pictures import cells as picture_cells
from schemas.pictures.cells import BadPicture, Picture, split_at_data_uris
from schemas.pictures.stored import keep_picture, stored_name, stored_path
from schemas.quarantine import Rejection
from schemas.reading.rows import plan_slices, read_slice
from schemas.validation.catalogue import validate_catalogue

JPEG = encoded(smooth_picture(0, (16, 12)), "JPEG")
PNG = encoded(smooth_picture(1, (16, 12)), "PNG")
GIF = encoded(smooth_picture(2, (16, 12)), "GIF")
BASE64 = base64.b64encode(JPEG).decode()
DATA_URI = f"data:image/jpeg;base64,{BASE64}"
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def read(path: Path, columns: Columns | None = None) -> tuple[list[list[str]], list[Rejection], dict[str, int]]:
    """(the pictures of each good row, rejections, counts) of a catalogue file."""
    images, rejections, counts = [], [], {}
    for part in plan_slices([str(path)]):
        for raw in read_slice(part, columns or {}):
            good, rejected, counts = validate_catalogue(raw, part)
            assert counts["rows_read"] == len(good) + sum(row.level == "row" for row in rejected)
            images += good["images"].to_pylist()
            rejections += rejected
    return images, rejections, dict(counts)


def write(path: Path, images: pa.Array, **options: Any) -> Path:
    ids = [f"i{number}" for number in range(len(images))]
    pq.write_table(pa.table({"item_id": ids, "title": ids, "images": images}), path, **options)
    return path


@pytest.mark.parametrize(
    ("cell", "members"),
    [
        (JPEG, [Picture(JPEG)]),
        ([PNG, b"a.jpg", None], [Picture(PNG), "a.jpg", None]),
        (b"a.jpg|b.jpg", ["a.jpg", "b.jpg"]),
        (b"<svg/>", [Picture(b"<svg/>")]),
        ({"bytes": JPEG, "path": "x.jpg"}, [Picture(JPEG)]),
        ({"bytes": b"no picture", "path": None}, [Picture(b"no picture")]),
        ({"bytes": None, "path": "x.jpg"}, ["x.jpg"]),
        ({"bytes": b"", "path": "x.jpg"}, ["x.jpg"]),
        ({"bytes": None, "path": None}, [None]),
        ({"bytes": BASE64, "path": None}, [Picture(JPEG)]),
        ([{"bytes": JPEG, "path": None}, {"bytes": None, "path": "b.jpg"}], [Picture(JPEG), "b.jpg"]),
        (json.dumps([{"bytes": BASE64, "path": None}]), [Picture(JPEG)]),
        (
            {"list": [{"element": {"bytes": JPEG, "path": "a.jpg"}}, {"element": {"bytes": None, "path": "b.jpg"}}]},
            [Picture(JPEG), "b.jpg"],
        ),
        ({"array": [{"array_element": {"bytes": BASE64, "path": None}}, {"item": None}]}, [Picture(JPEG), None]),
        ([{"element": {"src": "a.jpg"}}], ["a.jpg"]),
        (DATA_URI, [Picture(JPEG)]),
        (f" DATA:image/jpeg ; BASE64,{BASE64}\n", [Picture(JPEG)]),
        (f"data:image/jpeg;base64,{base64.urlsafe_b64encode(JPEG).decode().rstrip('=')}", [Picture(JPEG)]),
        (f"{DATA_URI}|a.jpg|b.jpg", [Picture(JPEG), "a.jpg", "b.jpg"]),
        (f"a.jpg,b.jpg, {DATA_URI}; {DATA_URI}", ["a.jpg", "b.jpg", Picture(JPEG), Picture(JPEG)]),
        *(
            (f"{DATA_URI}{between}https://x.de/b.jpg", [Picture(JPEG), "https://x.de/b.jpg"])
            for between in (",", ", ", ";", " ", "\n", "\r\n", "|", ",|")
        ),
        (f"{DATA_URI} b.jpg, c.jpg;{DATA_URI}", [Picture(JPEG), "b.jpg", "c.jpg", Picture(JPEG)]),
        (f"{DATA_URI}\n{DATA_URI}", [Picture(JPEG), Picture(JPEG)]),
        (
            f"data:image/png;base64,{base64.encodebytes(PNG).decode()}data:x;base64,{BASE64},a.jpg",
            [Picture(PNG), Picture(JPEG), "a.jpg"],
        ),
        (json.dumps([DATA_URI, "a, b.jpg"]), [Picture(JPEG), "a, b.jpg"]),
        ("data:image/svg+xml,%3Csvg/%3E", [Picture(b"<svg/>")]),
        (BASE64, [Picture(JPEG)]),
        (base64.encodebytes(PNG).decode(), [Picture(PNG)]),
        ("data: sheet, blue.jpg", [Picture(b" blue.jpg")]),  # decoding judges it
    ],
)
def test_what_cells_hold(cell: Any, members: list[Any]) -> None:
    assert list_members(cell) == members


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("shoes/1 \x1b[31m.jpg", "for the path 'shoes/1 \\x1b[31m.jpg'"),
        ("x" * 5_000, "xxx…"),
        (None, "not base64"),
        (7, "not base64"),
    ],
)
def test_a_bad_picture_of_a_struct_says_its_path(path: Any, told: str) -> None:
    (bad,) = list_members({"bytes": "not base64 ü", "path": path})
    assert isinstance(bad, BadPicture)
    assert told in bad.got
    assert ("for the path" in bad.got) == isinstance(path, str)
    assert len(bad.got) < 450


def test_bytes_beyond_the_cap_say_their_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemas.pictures.cells.MAX_PICTURE_BYTES", 3)
    (bad,) = list_members([{"bytes": JPEG, "path": "a.jpg"}])
    assert bad.got == f"{len(JPEG):,} bytes for the path 'a.jpg'"


def test_a_separator_of_the_config_does_not_cut_data_uris() -> None:
    assert list_members(f"a.jpg;b.jpg;{DATA_URI}", ";") == ["a.jpg", "b.jpg", Picture(JPEG)]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("data:image/png;base64,not!base64", "not_a_picture"),
        ("data:image/png;base64,", "not_a_picture"),
        ({"bytes": "ü", "path": None}, "not_a_picture"),
        (stored_name(JPEG), "missing"),
        ("x" * (MAX_ADDRESS_CHARACTERS + 1), "not_a_picture"),
    ],
)
def test_what_is_no_picture_says_why(cell: Any, reason: str) -> None:
    (bad,) = list_members(cell)
    assert isinstance(bad, BadPicture)
    assert bad.reason == reason
    assert len(bad.got) < 210


@pytest.mark.medium
@pytest.mark.parametrize(
    "text",
    [
        "|" * 10**6,
        "data:," * 10**5,
        f"data:;base64,{'A ' * 10**6}",
        f"data:;base64,{' ' * 10**6}{'A' * 10**6}",
        f"/9j/{'A ' * 10**6}.",
        f"/9j/{'A' * 300}{' =' * 10**6}.",
    ],
)
def test_hostile_texts_take_no_more_time_than_their_length(text: str) -> None:
    sum(1 for _ in split_at_data_uris(text))
    picture_cells.picture_of_text(text)


KINDS = {
    "bytes": pa.array([JPEG, None, b"a.jpg", PNG, JPEG]),
    "large bytes": pa.array([JPEG, None, b"a.jpg", PNG, JPEG], pa.large_binary()),
    "lists of bytes": pa.array([[JPEG], [], [b"a.jpg"], [PNG], [JPEG]]),
    "structs": pa.array(
        [
            {"bytes": JPEG, "path": "1.jpg"},
            None,
            {"bytes": None, "path": "a.jpg"},
            {"bytes": PNG, "path": None},
            {"bytes": JPEG, "path": None},
        ],
        IMAGE,
    ),
    "lists of structs": pa.array(
        [
            [{"bytes": JPEG, "path": None}],
            [],
            [{"bytes": None, "path": "a.jpg"}],
            [{"bytes": PNG, "path": None}],
            [{"bytes": JPEG, "path": None}],
        ],
        pa.list_(IMAGE),
    ),
    "data URIs": pa.array(
        [DATA_URI, None, "a.jpg", f"data:image/png;base64,{base64.b64encode(PNG).decode()}", DATA_URI]
    ),
    "lists of data URIs": pa.array(
        [[DATA_URI], [], ["a.jpg"], [f"data:image/png;base64,{base64.b64encode(PNG).decode()}"], [DATA_URI]]
    ),
}


@pytest.mark.parametrize("name", list(KINDS))
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_parquet_columns_of_pictures(tmp_path: Path, name: str, use_dictionary: bool) -> None:
    images, rejections, counts = read(write(tmp_path / "c.parquet", KINDS[name], use_dictionary=use_dictionary))
    assert images == [[stored_name(JPEG)], [], ["a.jpg"], [stored_name(PNG)], [stored_name(JPEG)]]
    assert (rejections, counts["pictures_listed"]) == ([], 4)


@pytest.mark.medium
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_text_files_with_pictures(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"c.{suffix}"
    large = encoded(smooth_picture(3, (900, 700)), "PNG")  # longer than Python's CSV reader takes by itself
    cells = [DATA_URI, "a.jpg", f"data:image/png;base64,{base64.b64encode(large).decode()}", BASE64, "data:x;base64,!"]
    if suffix == "csv":
        path.write_text("item_id,title,images\n" + "".join(f'i{n},t,"{cell}"\n' for n, cell in enumerate(cells)))
    else:
        rows = [{"item_id": f"i{n}", "title": "t", "images": cell} for n, cell in enumerate(cells)]
        rows.append({"item_id": "hf", "title": "t", "images": [{"bytes": BASE64, "path": None}]})
        path.write_text("\n".join(map(json.dumps, rows)))
    images, rejections, _ = read(path)
    more = [[stored_name(JPEG)]] if suffix == "jsonl" else []
    assert images == [[stored_name(JPEG)], ["a.jpg"], [stored_name(large)], [stored_name(JPEG)], [], *more]
    (bad,) = rejections
    assert (bad.level, bad.stage, bad.item_id, bad.reason) == ("picture", "items", "i4", "not_a_picture")
    assert bad.where.startswith(path.name)


def test_the_shops_name_of_the_column_and_a_second_one(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    table = {"item_id": ["a"], "title": ["t"], "image": pa.array([{"bytes": JPEG, "path": None}], IMAGE), "more": [PNG]}
    pq.write_table(pa.table(table), path)
    columns = {"images": parse_column("images", ["image", "more"], "[columns]")}
    assert read(path, columns)[0] == [[stored_name(JPEG), stored_name(PNG)]]


@pytest.mark.medium
def test_a_large_picture_is_taken_where_a_large_text_is_refused(tmp_path: Path) -> None:
    camera = JPEG + bytes(20 << 20)
    path = write(tmp_path / "c.parquet", pa.array([camera, JPEG]))
    assert read(path)[0] == [[stored_name(camera)], [stored_name(JPEG)]]
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "title", pa.array(["x" * (20 << 20), "t"])), path)
    images, rejections, _ = read(path)
    assert images == [[stored_name(JPEG)]]
    assert [(row.level, row.reason) for row in rejections] == [("row", "oversized_cell")]


def test_pictures_above_the_caps_cost_only_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_cells, "MAX_PICTURE_BYTES", 5_000)
    monkeypatch.setattr(parquet_batches, "MAX_PICTURES_CELL_BYTES", 20_000)
    cells = [[JPEG], [bytes(6_000), JPEG], [bytes(9_000)] * 3, [PNG]]
    images, rejections, counts = read(write(tmp_path / "c.parquet", pa.array(cells), row_group_size=3))
    assert images == [[stored_name(JPEG)], [stored_name(JPEG)], [], [stored_name(PNG)]]
    told = [(row.item_id, row.level, row.reason, row.where) for row in rejections]
    assert told == [
        ("i1", "picture", "too_many_bytes", "c.parquet:2"),
        ("i2", "picture", "too_many_bytes", "c.parquet:3"),
    ]
    assert counts["rows_rejected"] == 0


def test_a_column_is_of_bytes_by_its_type_not_by_the_names_in_it() -> None:
    names = pa.array([{"binary_url": "x" * 2_000}, {"binary_url": "y"}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_batches, "MAX_CELL_BYTES", 1_000)
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"item_id": ["a", "b"], "title": ["a", "b"], "images": names}), sink)
        _, rejections, _ = _read_bytes(sink.getvalue().to_pybytes())
    assert [(row.item_id, row.reason) for row in rejections if row.level == "picture"] == [("a", "too_many_bytes")]
    deep = pa.map_(pa.string(), pa.list_(pa.dictionary(pa.int32(), pa.large_binary())))
    assert [holds_bytes(kind) for kind in (deep, IMAGE, pa.binary(4), names.type)] == [True, True, True, False]


def test_a_page_of_pictures_may_be_larger_if_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 1_000), np.uint8)
    path = write(tmp_path / "c.parquet", pa.array([row.tobytes() for row in noise]), use_dictionary=False)
    monkeypatch.setattr(parquet_batches, "MAX_PAGE_BYTES", 50_000)
    assert len(read(path)[0]) == 200
    write(path, pa.array([b"\0" * 1_000] * 200), use_dictionary=False, compression="zstd")
    with pytest.raises(ValueError, match="expected pages of at most 50,000 bytes"):
        read(path)


def test_a_picture_is_written_once_under_the_name_of_its_content(tmp_path: Path) -> None:
    names = {keep_picture(data, tmp_path) for data in (JPEG, PNG, JPEG)}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert names == {stored_name(JPEG), stored_name(PNG)}
    assert {stored_name(path.read_bytes()) for path in files} == names
    assert {path.relative_to(tmp_path).as_posix() for path in files} == {stored_path(name) for name in names}


CELLS = st.one_of(
    st.none(),
    st.sampled_from([JPEG, PNG, GIF, JPEG[:-40], b"", b"a.jpg", b"caf\xe9.jpg", b"<svg/>", bytes(3_000)]),
    st.binary(max_size=40),
    st.sampled_from([DATA_URI, DATA_URI[:-7], "data:,", "data:x;base64,??", BASE64, "a.jpg", "", stored_name(PNG)]),
    st.text(max_size=12),
)


@pytest.mark.medium
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "", None]), st.lists(CELLS, max_size=4)), min_size=1, max_size=8).map(
        lambda rows: [*rows, ("last", [JPEG])]
    )
)
def test_no_row_is_lost_and_no_good_picture_for_a_bad_neighbour(rows: list[tuple[str | None, list[Any]]]) -> None:
    def struct(cell: bytes | str | None) -> dict[str, Any]:
        is_path = isinstance(cell, str)
        return {"bytes": None if is_path else cell, "path": cell if is_path else None}

    ids, cells = zip(*rows, strict=True)
    table = pa.table({"item_id": pa.array(ids, pa.string()), "images": [list(map(struct, row)) for row in cells]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_cells, "MAX_PICTURE_BYTES", 2_900)
        images, rejections, counts = _read_bytes(sink.getvalue().to_pybytes())
    assert counts["rows_read"] == len(rows) == len(images) + sum(row.level == "row" for row in rejections)
    wanted = [row for item_id, row in rows if item_id]
    for given_cells, listed in zip(wanted, images, strict=True):
        good = [stored_name(cell) for cell in given_cells if isinstance(cell, bytes) and cell and len(cell) <= 2_900]
        assert set(good) <= set(listed)
        assert len(listed) <= len(given_cells)


def _read_bytes(data: bytes) -> tuple[list[list[str]], list[Rejection], dict[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "c.parquet")
        path.write_bytes(data)
        return read(path)
