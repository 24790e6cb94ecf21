"""Files as shops have them: whatever separates, quotes, encodes or packs them, the same rows come out."""

import codecs
import csv
import gzip
import io
import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import CorruptFileError, UsageError
from schemas.file_forms import checked_format, forms_in_words
from schemas.files import declare, expand_inputs
from schemas.reading import check_columns, column_names, count_rows, input_identity, plan_slices, read_slice

HEADER = "item_id,title,images\n"
MUGS = [("A-1", "Red mug", ["a.jpg"]), ("A-2", "Blue mug", ["b.jpg", "c.jpg"])]
#: A feed as Google's Merchant Center takes it: what begins with a quotation mark is data.
GOOGLE_TEXT = (
    "id\ttitle\tdescription\timage_link\n"
    'G1\t"Vintage" lamp\tA lamp\thttps://e.com/1.jpg\n'
    'G2\t27" monitor\tWide\thttps://e.com/2.jpg\n'
    'G3\tplain\t"quoted, start\thttps://e.com/3.jpg\n'
    "G4\tplain 4\tok\thttps://e.com/4.jpg\n"
)
GOOGLE_COLUMNS = {"item_id": "id", "images": "image_link"}
MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE, "utf-8-sig": b""}


def packed(data: bytes, compression: str) -> bytes:
    if compression == "zstd":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data)
        return sink.getvalue().to_pybytes()
    return gzip.compress(data) if compression == "gzip" else data


def write(path: Path, text: str | bytes, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def as_list(cell: Any) -> Any:
    """A cell of a list column, split if it is text yet: validation may do that too."""
    return cell.split("|") if isinstance(cell, str) else cell


def read(
    path: Path | str, columns: dict[str, str] | None = None
) -> tuple[list[tuple[Any, ...]], list[tuple[int, str]]]:
    """((item_id, title, images) of each row, (number, error) of what is broken), as a job reads a file or folder."""
    rows, broken = [], []
    files = expand_inputs(path if isinstance(path, str) else str(path))
    check_columns(files, columns or {})
    for part in plan_slices(files):
        for raw in read_slice(part, columns or {}):
            ids, titles, images = (raw.mixed.get(n) or raw.table[n].to_pylist() for n in ("item_id", "title", "images"))
            rows += zip(ids, titles, map(as_list, images), strict=True)
            broken += raw.broken
    return rows, broken


def words(path: Path | str) -> str:
    files = expand_inputs(str(path)) if isinstance(path, Path) else expand_inputs(path)
    return forms_in_words(files, [Path(file).name for file in files])


def mugs(separator: str, line_end: str = "\n") -> str:
    """The mugs as a text whose cells that separator separates."""
    rows = [["item_id", "title", "images"], ["A-1", "Red mug", "a.jpg"], ["A-2", "Blue mug", '"b.jpg|c.jpg"']]
    return "".join(separator.join(row) + line_end for row in rows)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("c.csv", mugs(","), ""),
        ("c.csv", mugs(";"), "semicolons"),
        ("c.csv", mugs("\t"), "tabs"),
        ("c.csv", mugs("|"), "pipes"),
        ("c.tsv", mugs("\t"), ""),
        ("c.tsv", mugs(","), "commas"),
        ("c.txt", mugs("|"), "pipes"),
        ("c.csv", "sep=;\r\n" + mugs(";", "\r\n"), "semicolons"),
        ("c.csv", "sep=^\n" + mugs("^").rstrip(), "cells separated by '^'"),
        ("c.csv", mugs(";", "\r"), "semicolons, lines end in carriage returns"),
        ("c.csv", mugs(",", "\r\r\n"), ""),
        ("c.csv", "\r\n\n" + mugs(";"), "semicolons"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-16"])
@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_dialects_are_recognised(
    tmp_path: Path, name: str, text: str, expected: str, encoding: str, compression: str
) -> None:
    path = write(tmp_path / name, packed(text.encode(encoding), compression))
    assert read(path) == (MUGS, [])
    expected, *returns = expected.split(", ")
    told = ", ".join(filter(None, [expected, "UTF-16" if "16" in encoding else "", *returns, compression]))
    assert words(path) == (f"{name}: {told}" if told else "")


@pytest.mark.parametrize("name", ["c.csv.gz", "c.csv.zst", "c.csv"])
@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_compression_is_told_by_the_content_not_the_name(tmp_path: Path, name: str, compression: str) -> None:
    path = write(tmp_path / name, packed((HEADER + "A-1,Red mug,a.jpg\n").encode(), compression))
    assert read(path) == (MUGS[:1], [])
    assert count_rows([str(path)]) == 1
    damaged = packed((HEADER + "A-1,Red mug,a.jpg\n" * 9_999).encode(), compression)[:-30]
    if compression:
        with pytest.raises(CorruptFileError, match=r"c\.csv"):
            read(write(path, damaged))


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_line_numbers_are_true_in_every_encoding(tmp_path: Path, mark: bytes) -> None:
    text = 'sep=;\nitem_id;title;images\nA-1;"Red\nmug";a.jpg\nbroken\nA-2;ü;\n'
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    path = write(tmp_path / "c.csv", mark + text.encode(encoding))
    raws = [raw for part in plan_slices([str(path)]) for raw in read_slice(part, {})]
    assert [raw.row_numbers.tolist() for raw in raws] == [[3, 6]]
    assert [number for raw in raws for number, _ in raw.broken] == [5]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_windows_text_is_read_where_the_whole_file_is_not_utf8(tmp_path: Path, separator: str) -> None:
    text = (HEADER + "A-1,Café – “Größe” 5 €,a.jpg\n").replace(",", separator)
    path = write(tmp_path / "c.csv", text, "cp1252")
    assert read(path) == ([("A-1", "Café – “Größe” 5 €", ["a.jpg"])], [])
    assert words(path).endswith("cp1252")
    late = HEADER + "".join(f"A-{i},plain,\n" for i in range(30_000)) + "B-1,Café,\n"
    rows, broken = read(write(tmp_path / "late.csv", late, "cp1252"))
    assert (rows[-1], len(rows), broken) == (("B-1", "Café", None), 30_001, [])


def test_a_damaged_utf8_file_is_not_taken_for_windows_text(tmp_path: Path) -> None:
    """One character cut in two costs its own cell; the others are not read as two each."""
    data = (HEADER + "A-1,Caf").encode() + b"\xc3,\n" + "A-2,Größe,\n".encode()
    rows, broken = read(write(tmp_path / "c.csv", data))
    assert (rows, broken) == ([("A-1", "Caf\udcc3", None), ("A-2", "Größe", None)], [])
    for no_windows_text in (b"\xff", b"\x81"):
        rows, _ = read(write(tmp_path / "d.csv", HEADER.encode() + b"A-1," + no_windows_text + b",\n"))
        assert rows == [("A-1", no_windows_text.decode("utf-8", "surrogateescape"), None)]


def test_quotes_escaped_by_backslash(tmp_path: Path) -> None:
    text = HEADER + (
        'A-1,"Poster \\"Hello, World\\"",a.jpg\n'
        'A-2,"27\\" monitor",b.jpg\n'
        "A-3,C:\\new\\N,c.jpg\n"
        'A-4,"back\\\\slash, \\n",d.jpg\n'
    )
    path = write(tmp_path / "part-0.csv", text)
    rows, broken = read(path)
    assert [row[1] for row in rows] == ['Poster "Hello, World"', '27" monitor', "C:\\new\\N", "back\\slash, \\n"]
    assert (broken, words(path)) == ([], "part-0.csv: escaped by \\")
    plain = write(tmp_path / "plain.csv", HEADER + 'A-1,"C:\\dir\\",a.jpg\nA-2,"say ""hi""\\",b.jpg\n')
    assert [row[1] for row in read(plain)[0]] == ["C:\\dir\\", 'say "hi"\\']


@pytest.mark.parametrize("name", ["feed.txt", "feed.tsv"])
def test_quotes_of_an_unquoted_tab_file_are_data(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, GOOGLE_TEXT)
    rows, broken = read(path, GOOGLE_COLUMNS)
    assert [row[1] for row in rows] == ['"Vintage" lamp', '27" monitor', "plain", "plain 4"]
    assert broken == []
    assert words(path) == (f"{name}: tabs, quotes are data" if name == "feed.txt" else f"{name}: quotes are data")


def test_quoted_tab_files_stay_quoted(tmp_path: Path) -> None:
    path = write(tmp_path / "c.tsv", 'item_id\ttitle\timages\na\t"x\ny"\t\nb\t"1\t2"\t\nc\t"say ""hi"""\t\nd\tz\t\n')
    assert ([row[1] for row in read(path)[0]], words(path)) == (["x\ny", "1\t2", 'say "hi"', "z"], "")


@pytest.mark.parametrize("prices", ["2,50", "2.50"])
def test_decimal_commas_do_not_make_a_semicolon_file_one_of_commas(tmp_path: Path, prices: str) -> None:
    text = "item_id;title, short;price\n" + "".join(f"A-{i};mug;{prices}\n" for i in range(50))
    rows, broken = read(write(tmp_path / "c.csv", text), {"title": "title, short"})
    assert (len(rows), rows[0][:2], broken) == (50, ("A-0", "mug"), [])


@pytest.mark.parametrize("layout", ["lines", "pretty", "compact"])
def test_a_json_array_is_read_element_by_element(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemas.json_arrays._PIECE_BYTES", 7)
    items = [
        {"item_id": "a", "title": 'Mug "]}, [{"', "images": ["1.jpg", "2.jpg"]},
        {"item_id": "b\\", "title": 'ü\\"', "images": []},
        {"item_id": "c", "title": None, "images": None, "more": {"deep": [[{}]]}},
    ]
    text = json.dumps(items, indent=1 if layout == "pretty" else None)
    if layout == "lines":
        text = "[\n" + ",\n".join(map(json.dumps, items)) + "\n]\n"
    path = write(tmp_path / "items.json", text)
    assert read(path) == ([tuple(item[key] for key in ("item_id", "title", "images")) for item in items], [])
    assert (words(path), count_rows([str(path)])) == ("items.json: one JSON array", 3)
    assert column_names(str(path)) == ["images", "item_id", "more", "title"]


def test_a_bad_element_of_an_array_costs_only_itself_and_a_cut_off_one_is_told(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.json", '[{"item_id": "a"}, {"item_id": tru}, 7, , {"item_id": "b"},]\n[{"item_id": "c"}]'
    )
    rows, broken = read(path)
    assert ([row[0] for row in rows], [number for number, _ in broken]) == (["a", "b", "c"], [2, 3, 4])
    for text in ('[{"item_id": "a"}, {"item_id": "b"', '[{"item_id": "a"}', '[{"item_id": "a"}]x', "[{}}]"):
        with pytest.raises(CorruptFileError, match=r"c\.json"):
            read(write(tmp_path / "c.json", text))
    for nothing in ("[]", " [ ] \n"):
        assert read(write(tmp_path / "c.json", nothing)) == ([], [])


def test_empty_parts_have_no_rows(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    write(parts / "part-0.csv", HEADER + "A-1,Red mug,a.jpg\n")
    for number, empty in enumerate([b"", b" \n\n", codecs.BOM_UTF8, gzip.compress(b"")], 1):
        write(parts / f"part-{number}.csv", empty)
    assert read(parts) == (MUGS[:1], [])
    assert words(parts) == "part-1.csv and 3 more: empty, no rows"
    assert count_rows(expand_inputs(str(parts))) == 1


@pytest.mark.parametrize("closed", [True, False])
def test_a_long_quoted_cell_is_one_item_or_one_broken_row(tmp_path: Path, closed: bool) -> None:
    cells = ["<p>line</p>\n" * 1_500, "x" * (2 << 20), "<b>\n" * 30_000]
    lines = [f'L-{i},"{cell}",a.jpg\nA-{i},mug,b.jpg\n' for i, cell in enumerate(cells)]
    if not closed:
        lines = [line.replace(",a.jpg", "") for line in lines]
    rows, broken = read(write(tmp_path / "c.csv", HEADER + "".join(lines)))
    long = [(f"L-{i}", cell, ["a.jpg"]) for i, cell in enumerate(cells)] if closed else []
    assert sorted(rows) == sorted([*[(f"A-{i}", "mug", ["b.jpg"]) for i in range(3)], *long])
    assert len(broken) == (0 if closed else 3)


def test_a_quote_that_nobody_closes_takes_no_rows_along(tmp_path: Path) -> None:
    text = HEADER + 'A-0,"stray,a.jpg\n' + "".join(f"A-{i},mug,\n" for i in range(1, 3_000)) + "\n".join("abc") + "\n"
    rows, broken = read(write(tmp_path / "c.csv", text))
    assert (len(rows), [number for number, _ in broken]) == (2_999, [2, 3_002, 3_003, 3_004])


def test_stray_quotes_are_given_up_in_bounded_time(tmp_path: Path) -> None:
    """Each of these lines opens a quote, by itself and within the quote of the line before."""
    started_s = time.process_time()
    read(write(tmp_path / "c.csv", "item_id,title\n" + 'a",b,"\n' * 20_000))
    assert time.process_time() - started_s < 30


def test_declared_forms(tmp_path: Path) -> None:
    text = "item_id^title^images\nA-1^$Größe ^ 5!$$^$a.jpg$\n"
    table = {"type": "csv", "separator": "^", "quote": "$", "escape": "!", "encoding": "latin-1"}
    form = checked_format(table, "catalogue", "shop.toml")
    path = declare(str(write(tmp_path / "export", text, "latin-1")), form)
    assert read(path) == ([("A-1", "Größe ^ 5$", ["a.jpg"])], [])
    assert input_identity(expand_inputs(path))[0]["format"] == form
    with pytest.raises(UsageError, match="--format csv"):
        read(str(path))


def test_a_declared_separator_that_the_file_lacks_is_told(tmp_path: Path) -> None:
    path = declare(str(write(tmp_path / "c.csv", mugs(";"))), {"separator": ","})
    with pytest.raises(UsageError, match=r"one column; if ';' separates several.*\[format\] separator = ';'"):
        read(path)


def test_text_without_extension_is_what_the_call_says(tmp_path: Path) -> None:
    for kind, text in {
        "csv": "item_id,title,images\nA-1,Red mug,a.jpg\n",
        "tsv": "item_id\ttitle\timages\nA-1\tRed mug\ta.jpg\n",
        "json": '{"item_id": "A-1", "title": "Red mug", "images": ["a.jpg"]}\n',
        "rss": "<rss><item><item_id>A-1</item_id><title>Red mug</title><images>a.jpg</images></item></rss>",
    }.items():
        path = write(tmp_path / kind / "000000_0", text)
        assert read(declare(str(path.parent), {"type": kind})) == (MUGS[:1], [])
        assert read(write(tmp_path / kind / "named.txt", text)) == (MUGS[:1], [])


def test_what_the_config_says_of_a_format_is_checked() -> None:
    table = {"separator": ";", "engagements": {"separator": "|", "type": "tsv"}}
    assert checked_format(table, "catalogue", "c.toml") == {"separator": ";"}
    assert checked_format(table, "engagements", "c.toml") == {"separator": "|", "type": "tsv"}
    assert checked_format({"escape": '"'}, "catalogue", "c.toml") == {"escape": ""}
    assert checked_format({"quote": "", "escape": ""}, "judgements", "c.toml") == {"quote": "", "escape": ""}
    assert checked_format({"encoding": "Windows-1252"}, "catalogue", "c.toml") == {"encoding": "cp1252"}
    for wrong in (
        {"seperator": ";"},
        {"separator": ";;"},
        {"separator": ""},
        {"quote": "\n"},
        {"separator": ";", "quote": ";"},
        {"separator": '"'},
        {"escape": ",", "separator": ","},
        {"type": "xlsx"},
        {"encoding": "klingon"},
        {"encoding": "rot13"},
        {"engagements": "csv"},
        {"engagement": {"type": "csv"}},
        {"escape": 7},
    ):
        with pytest.raises(UsageError, match=r"c\.toml"):
            checked_format(wrong, "engagements", "c.toml")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n"])
def test_a_carriage_return_within_a_line_is_text(tmp_path: Path, end: str) -> None:
    """As Python's csv module and pandas write it: without quotes."""
    lines = [HEADER.strip(), "A-1,Red\rmug,a.jpg", '"A-2","Blue\rmug",b.jpg', "A-3,\r,c.jpg"]
    rows = [("A-1", "Red\rmug", ["a.jpg"]), ("A-2", "Blue\rmug", ["b.jpg"]), ("A-3", "\r", ["c.jpg"])]
    assert read(write(tmp_path / "c.csv", end.join(lines) + end)) == (rows, [])


def test_what_is_named_like_text_and_is_none_says_what_it_is(tmp_path: Path) -> None:
    for data, what in ((b"PK\x03\x04abc", "Excel"), (b"PAR1abc", "Parquet")):
        with pytest.raises(UsageError, match=what):
            read(write(tmp_path / "c.csv", data))
    with pytest.raises(CorruptFileError, match=r"c\.csv"):
        read(write(tmp_path / "c.csv", codecs.BOM_UTF16_LE + (HEADER + "a,b,c").encode("utf-16-le") + b"x"))


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=9)
DIALECTS = [
    {"separator": ","},
    {"separator": ";"},
    {"separator": "\t"},
    {"separator": "|"},
    {"separator": ";", "quote": "'"},
    {"separator": ",", "escape": "\\"},
]


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL, CELL), max_size=6),
    dialect=st.sampled_from(DIALECTS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"]),
    compression=st.sampled_from(["", "gzip", "zstd"]),
    recognised=st.booleans(),
)
def test_what_pythons_csv_module_writes_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    dialect: dict[str, str],
    encoding: str,
    compression: str,
    recognised: bool,
) -> None:
    """Declared dialects with any text; recognised ones with cells in which other marks are no separators by chance."""
    if recognised:
        if "quote" in dialect or "escape" in dialect:
            return
        keep = f'{dialect["separator"]}"\n'
        rows = [tuple("".join(c for c in cell if c.isalnum() or c in keep) for cell in row) for row in rows]  # type: ignore[misc]
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=dialect["separator"],
        quotechar=dialect.get("quote", '"'),
        escapechar=dialect.get("escape"),
        doublequote="escape" not in dialect,
        lineterminator="\n",
    )
    writer.writerow(["item_id", "title"])
    writer.writerows((f"id{number}", title + more) for number, (title, more) in enumerate(rows))
    data = MARKS.get(encoding, b"") + text.getvalue().encode(encoding)
    path = write(tmp_path_factory.mktemp("table") / "c.csv", packed(data, compression))
    spec = str(path) if recognised else declare(str(path), dialect)
    expected = [(f"id{number}", title + more or None, None) for number, (title, more) in enumerate(rows)]
    assert read(spec) == (expected, [])


SEEDS = {
    "c.csv": mugs(";").encode("utf-16"),
    "d.csv": packed((mugs(",") * 3).encode(), "zstd"),
    "e.csv": packed(("sep=|\r" + mugs("|", "\r")).encode("cp1252"), "gzip"),
    "f.txt": GOOGLE_TEXT.encode(),
    "g.txt": (HEADER + 'A-1,"27\\" monitor",é\n').encode("cp1252"),
    "h.json": json.dumps([{"item_id": "a", "title": '"]\\'}, {"item_id": ["b"]}], indent=1).encode("utf-16-be"),
    "i.xml": b'<rss xmlns:g="http://base.google.com/ns/1.0"><item><g:id>1</g:id><item_id>a<b/></item_id></item></rss>',
    "j.xml": '<?xml version="1.0" encoding="utf-16"?><feed><entry><item_id>a</item_id></entry></feed>'.encode("utf-16"),
}


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(SEEDS)),
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from([b"", b"\0", b"\xff", b'"', b"\\", b"\r", b"\n", b"<", b"&", b"]"])),
        max_size=4,
    ),
    cut=st.floats(0, 1),
    drops=st.booleans(),
)
def test_damaged_files_are_read_or_refused_clearly(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, bytes]], cut: float, drops: bool
) -> None:
    data = SEEDS[name]
    for share, change in changes:
        place = int(share * len(data))
        data = data[:place] + change + data[place + drops :]
    path = write(tmp_path_factory.mktemp("damaged") / name, data[: int(cut * len(data))] if drops else data)
    try:
        rows, broken = read(path)
    except (UsageError, CorruptFileError) as error:
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert len(rows) + len(broken) <= max(data.count(b"\n"), data.count(b"\r"), 40) + 1
