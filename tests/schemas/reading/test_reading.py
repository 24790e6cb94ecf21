"""Readers: three formats give the same rows; damage costs only the line that has it."""

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns.mapping import table_columns
from schemas.columns.raw_rows import RawRows
from schemas.errors import CorruptFileError, UsageError
from schemas.reading import csv_parser
from schemas.reading import rows as reading
from schemas.reading import text as reading_text
from schemas.reading.input_files import check_columns, count_rows, input_identity
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import CATALOGUE, ENGAGEMENTS
from schemas.validation.catalogue import validate_catalogue

ROWS = [
    {"item_id": "a", "title": 'Mug, "blue"', "images": ["1.jpg", "2.jpg"]},
    {"item_id": "b", "title": "two\nlines", "images": []},
    {"item_id": "c", "title": None, "images": ["ü.png"]},
]


def read_all(path: Path, columns: dict[str, str] | None = None, schema: pa.Schema = CATALOGUE) -> list[RawRows]:
    return [raw for part in plan_slices([str(path)]) for raw in read_slice(part, columns or {}, schema)]


def values(raws: list[RawRows], name: str) -> list[object]:
    return [value for raw in raws for value in raw.mixed.get(name) or raw.table[name].to_pylist()]


def numbers(raws: list[RawRows]) -> list[int]:
    return [number for raw in raws for number in raw.row_numbers.tolist()]


def broken(raws: list[RawRows]) -> list[int]:
    return [number for raw in raws for number, _ in raw.broken]


def write_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows({key: json.dumps(v) if isinstance(v, list) else v for key, v in row.items()} for row in rows)
    return path


def write_lines(path: Path, lines: list[bytes]) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(b"\n".join(lines) + b"\n")
    return path


@pytest.mark.parametrize("name", ["c.parquet", "c.jsonl", "c.ndjson.gz", "c.json", "c.csv", "c.tsv"])
def test_formats_give_the_same_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "c.parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif name.endswith("sv"):
        write_csv(path, ROWS)
    else:
        write_lines(path, [json.dumps(row).encode() for row in ROWS])
    (raw,) = read_all(path)
    assert raw.table.schema.names == CATALOGUE.names
    rows, rejections, _ = validate_catalogue(raw, plan_slices([str(path)])[0])
    assert [rows[key].to_pylist() for key in ("item_id", "title", "images", "brand")] == [
        ["a", "b", "c"],
        ['Mug, "blue"', "two\nlines", None],
        [["1.jpg", "2.jpg"], [], ["ü.png"]],
        [None] * 3,
    ]
    assert not rejections


def test_parquet_row_groups_are_slices_with_file_row_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BATCH_ROWS", 2)
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"item_id": list("abcdefg")}), path, row_group_size=3)
    slices = plan_slices([str(path)])
    assert [(part.part, part.first_row) for part in slices] == [(0, 1), (1, 4), (2, 7)]
    raws = read_all(path)
    assert numbers(raws) == list(range(1, 8))
    assert [raw.table.num_rows for raw in raws] == [2, 1, 2, 1, 1]
    assert [raw.first_row for raw in raws] == [1, 3, 4, 6, 7]


def test_bad_json_line_costs_only_itself(tmp_path: Path) -> None:
    lines = [
        b'{"item_id": "a"}',
        b'{"item_id": ',
        b"",
        b"[1]",
        b'{"item_id": "\xff"}',
        b'\xef\xbb\xbf{"item_id": 7}',
        b"[" * 9999,
    ]
    raws = read_all(write_lines(tmp_path / "c.jsonl", lines))
    assert (numbers(raws), broken(raws)) == ([1, 5], [2, 4, 6, 7])
    assert values(raws, "item_id") == ["a", "\udcff"]


@pytest.mark.parametrize("depth", [2, 99, 100, 989, 1_500, 100_000])
@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_bounded_below_what_python_takes(tmp_path: Path, depth: int, pair: tuple[bytes, bytes]) -> None:
    nested = pair[0] * depth + b"1" * (pair[0] != b"[") + pair[1] * depth
    (part,) = plan_slices([str(write_lines(tmp_path / "c.jsonl", [b'{"item_id": "a", "images": %s}' % nested]))])
    (raw,) = read_slice(part, {})
    _, rejections, counts = validate_catalogue(raw, part)
    is_line = depth < 100  # the line is one level itself
    assert [rejection.reason for rejection in rejections] == ([] if is_line else ["broken_line"])
    assert counts["cells_unreadable:images"] == is_line


def test_bom_and_last_line_without_end(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(b'\xef\xbb\xbf{"item_id": "a"}\r\n{"item_id": "b"}')
    (tmp_path / "c.csv").write_bytes(b"\xef\xbb\xbfitem_id,title\r\na,x\r\nb,y")
    for name in ("c.jsonl", "c.csv"):
        assert values(read_all(tmp_path / name), "item_id") == ["a", "b"]


@pytest.mark.parametrize(
    ("lines", "ids", "bad"),
    [
        ([b"a,x,1", b"b,x", b"c,x,1,2", b"d,x,1"], ["a", "d"], [3, 4]),
        ([b'a,"x,1', b"b,y,2", b'c,"z",3', b"d,y,4"], ["b", "c", "d"], [2]),
        ([b'a,"x,1', b'b,"y,2', b"d,y,4"], ["d"], [2, 3]),
        ([b'a,5" pipe,1', b"b,y,2"], ["a", "b"], []),
        ([b'a,"x\ny""z\n",1', b"b,y,2"], ["a", "b"], []),
        ([b'a,"x"y,1', b"", b"b,y,2"], ["b"], [2]),
        ([b"a\rz,x,1", b"b,y,2"], ["a\rz", "b"], []),
    ],
)
def test_bad_csv_line_costs_only_itself(tmp_path: Path, lines: list[bytes], ids: list[str], bad: list[int]) -> None:
    raws = read_all(write_lines(tmp_path / "c.csv", [b"item_id,title,images", *lines]))
    assert (values(raws, "item_id"), broken(raws)) == (ids, bad)


def test_csv_row_number_is_the_line_it_starts_on(tmp_path: Path) -> None:
    raws = read_all(write_lines(tmp_path / "c.csv", [b"item_id,title", b'a,"1', b'2"', b"b,x"]))
    assert numbers(raws) == [2, 4]


def test_csv_quote_never_closed_is_given_up_in_bounded_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_parser, "MAX_CSV_ROW_LINES", 5)
    lines = [b'a,"x', *[b"%d,y" % i for i in range(20)]]
    raws = read_all(write_lines(tmp_path / "c.csv", [b"item_id,title", *lines]))
    assert (len(values(raws, "item_id")), broken(raws)) == (20, [2])


def test_csv_cells(tmp_path: Path) -> None:
    lines = [b"item_id,title,images,brand", b'a,,"[""1|2.jpg"", null]",x', b"b, ,1.jpg|2.jpg,"]
    raws = read_all(write_lines(tmp_path / "c.csv", lines))
    assert values(raws, "images") == ['["1|2.jpg", null]', "1.jpg|2.jpg"]  # judged like lists of any other container
    assert (values(raws, "title"), values(raws, "brand")) == ([None, " "], ["x", None])


def test_overlong_line_is_broken_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_text, "MAX_LINE_BYTES", 40)
    lines = [b'{"item_id": "a"}', b'{"item_id": "%s"}' % (b"x" * 99), b'{"item_id": "b"}']
    raws = read_all(write_lines(tmp_path / "c.jsonl", lines))
    assert (values(raws, "item_id"), broken(raws)) == (["a", "b"], [2])


@pytest.mark.medium
@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=12), st.integers(1, 5))
def test_any_bytes_are_rows_or_broken_lines_in_any_batching(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], batch_rows: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    with pytest.MonkeyPatch.context() as patch:
        for name, first in (("c.jsonl", b'{"item_id": "first"}'), ("c.csv", b"item_id")):
            path = write_lines(folder / name, [first, *lines])
            patch.setattr(reading, "MAX_BATCH_ROWS", 8_192)
            whole = read_all(path)
            patch.setattr(reading, "MAX_BATCH_ROWS", batch_rows)
            parts = read_all(path)
            assert values(parts, "item_id") == values(whole, "item_id")
            assert (numbers(parts), broken(parts)) == (numbers(whole), broken(whole))
            assert all(raw.table.num_rows + len(raw.broken) <= batch_rows for raw in parts)
            if name == "c.jsonl":
                filled = [number for number, line in enumerate(lines, 2) if line.strip()]
                assert sorted(numbers(parts) + broken(parts)) == [1, *filled]


def test_mapping_and_missing_columns(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "c.csv", [{"sku": "a", "name": "mug", "extra": "1"}])
    mapping = {"item_id": "sku", "title": "name"}
    check_columns([str(path)], mapping)
    raws = read_all(path, mapping)
    assert (values(raws, "item_id"), values(raws, "title")) == (["a"], ["mug"])
    for wrong in ({}, {**mapping, "brand": "maker"}):
        with pytest.raises(UsageError, match="sku, name, extra"):
            check_columns([str(path)], wrong)
        with pytest.raises(UsageError, match="sku, name, extra"):
            read_all(path, wrong)


def test_json_column_may_be_absent_from_a_row_but_not_from_all(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "c.jsonl", [b'{"item_id": "a"}', b'{"item_id": "b", "name": "mug"}'])
    check_columns([str(path)], {"title": "name"})
    assert values(read_all(path, {"title": "name"}), "title") == [None, "mug"]
    with pytest.raises(UsageError, match="'maker' for brand, got item_id, name"):
        check_columns([str(path)], {"brand": "maker"})


def test_a_missing_column_is_told_with_what_may_be_meant(tmp_path: Path) -> None:
    def told(name: str, header: bytes) -> str:
        with pytest.raises(UsageError) as error:
            check_columns([str(write_lines(tmp_path / name, [header, b"x"]))], {})
        return str(error.value)

    assert "is it 'itemID'? then map it, in the config: [columns] item_id = 'itemID'" in told("a.csv", b"itemID,title")
    assert "is it 'sku'? then map it, in the config: [columns] item_id = 'sku'" in told("b.csv", b"sku,title")
    assert told("c.csv", b"key,title").endswith('[columns] item_id = "your name"')


def test_hive_folders_give_columns_that_the_file_lacks(tmp_path: Path) -> None:
    folder = tmp_path / "surface=search" / "user_id=__HIVE_DEFAULT_PARTITION__"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"timestamp": ["2024-01-01"], "item_id": ["a"], "action": ["click"]}), folder / "p.parquet")
    raws = read_all(folder / "p.parquet", {}, ENGAGEMENTS)
    assert (values(raws, "surface"), values(raws, "user_id")) == (["search"], [None])


def test_table_columns_of_a_config() -> None:
    config = {"item_id": "sku", "engagements": {"item_id": "product"}}
    assert table_columns(config, "catalogue") == {"item_id": "sku"}
    assert table_columns(config, "engagements") == {"item_id": "product"}
    assert table_columns(config, "judgements") == {}
    with pytest.raises(UsageError, match=r"got titel: is it 'title'\?"):
        table_columns({"titel": "name"}, "catalogue")
    with pytest.raises(UsageError, match=r"got zzz$"):
        table_columns({"zzz": "name"}, "catalogue")
    for wrong in ({"engagement": {"item_id": "product"}}, {"engagements": "product"}):
        for table in ("catalogue", "engagements"):
            with pytest.raises(UsageError, match=r"\[columns.X\] with X of catalogue.*got engagement"):
                table_columns(wrong, table)


def test_unknown_extension_and_damaged_files(tmp_path: Path) -> None:
    for name in ("c.dat", "c", "c.parquet.gz"):
        (tmp_path / name).write_text("x")
        with pytest.raises(UsageError, match=f"{name}.*--format csv"):
            plan_slices([str(tmp_path / name)])
    (tmp_path / "c.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(CorruptFileError, match=r"c\.parquet"):
        plan_slices([str(tmp_path / "c.parquet")])
    path = write_lines(tmp_path / "c.jsonl.gz", [b'{"item_id": "%d"}' % i for i in range(1000)])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptFileError, match=r"c\.jsonl\.gz"):
        read_all(path)


def test_damaged_parquet_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"item_id": [f"item {i}" for i in range(2000)]}), path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[4:200] = b"\xff" * 196
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match=r"c\.parquet"):
        read_all(path)


def test_count_rows_and_identity(tmp_path: Path) -> None:
    files = [
        str(write_csv(tmp_path / "a.csv", [{"item_id": i} for i in range(5)])),
        str(write_lines(tmp_path / "b.jsonl.gz", [b"{}"] * 7)),
    ]
    pq.write_table(pa.table({"item_id": ["x"] * 3}), tmp_path / "c.parquet")
    assert count_rows([*files, str(tmp_path / "c.parquet")]) == 15
    before = input_identity(files)
    assert before == input_identity(files[::-1])
    write_csv(tmp_path / "a.csv", [{"item_id": i} for i in (0, 1, 2, 3, 9)])
    assert input_identity(files) != before


@pytest.mark.parametrize(
    ("ids", "read_as"),
    [
        (["1.0", "2.0", "4"], ["1", "2", "4"]),
        (["7", "8", "9.0", "NaN"], ["7", "8", "9"]),
        (["1.0", "2.0", "007"], ["1.0", "2.0", "007"]),  # codes, no numbers
        (["1.0", "2.5", "4"], ["1.0", "2.5", "4"]),
        (['="00123"', '"=""00124"""', "'00125"], ["00123", "00124", "00125"]),
        (["=A1", "'tis", '=""', "'"], ["=A1", "'tis", '=""', "'"]),
    ],
)
def test_ids_that_a_spreadsheet_wrote(tmp_path, ids, read_as):
    path = tmp_path / "c.csv"
    path.write_text("item_id,title\n" + "".join(f"{number},mug\n" for number in ids))
    (part,) = plan_slices([str(path)])
    found = [good for raw in read_slice(part, {}) for good in validate_catalogue(raw, part)[0]["item_id"].to_pylist()]
    assert found == read_as
