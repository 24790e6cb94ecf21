"""Delimited text: whatever separates, quotes or escapes its cells, the same rows come out."""

import codecs
import csv
import io
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_tables import GOOGLE_TEXT, HEADER, MUGS, mugs, packed, read, words, write

from schemas.errors import UsageError
from schemas.files import declare
from schemas.reading.text import csv_rows

GOOGLE_COLUMNS = {"item_id": "id", "images": "image_link"}


@pytest.mark.medium
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


#: Larger than the sample that tells the dialect; Spark escapes the quotes in it, or has none.
LARGE_CELLS = ['line \\"x\\" , y\n' * 30_000, "line x, y\n" * 40_000, f'line \\"x\\" , {"y" * 1_000}\n' * 5_000]


@pytest.mark.medium
@pytest.mark.parametrize("large", LARGE_CELLS, ids=["escapes", "no escapes", "beyond the cap"])
@pytest.mark.parametrize("place", [0, 1])
def test_quotes_escaped_by_backslash_beside_a_cell_beyond_the_sample(tmp_path: Path, large: str, place: int) -> None:
    cells = ["plain", large, *(f'say \\"hi\\", you {number}' for number in range(6))][1 - place :]
    text = "".join(f'A-{number},"{cell}",a.jpg\n' for number, cell in enumerate(cells))
    rows, broken = read(write(tmp_path / "c.csv", HEADER + text))
    assert ([row[1] for row in rows], broken) == ([cell.replace('\\"', '"') for cell in cells], [])


def test_a_whole_file_with_a_stray_quote_has_no_open_row(tmp_path: Path) -> None:
    """Of a file that does not go on, a last row without an end is broken by every dialect."""
    text = HEADER + 'A-1,"C:\\new\\",a.jpg\nA-2,"x \\" y,b.jpg\n'
    rows, broken = read(write(tmp_path / "c.csv", text))
    assert (rows, [number for number, _ in broken]) == ([("A-1", "C:\\new\\", ["a.jpg"])], [3])


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


ROWS_OF_MUGS = "A-1,Red mug,a.jpg\nA-2,Blue mug,b.jpg|c.jpg\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (mugs("^"), "cells separated by '^'"),
        (mugs("~"), "cells separated by '~'"),
        (mugs("\x01"), r"cells separated by '\x01'"),
        (HEADER + ROWS_OF_MUGS.replace("\n", ",\n"), "a separator behind each row"),
        (mugs(";").replace('"\n', '";\n').replace("a.jpg\n", "a.jpg;\n"), "semicolons, a separator behind each row"),
        (HEADER + "'A-1','Red mug','a.jpg'\n'A-2','Blue mug','b.jpg|c.jpg'\n", "quoted by '"),
        ("'item_id','title','images'\n" + ROWS_OF_MUGS.replace("Red mug", "'Red mug'"), "quoted by '"),
        (
            'item_id, title, images\n"A-1", "Red mug", "a.jpg"\n"A-2", "Blue mug", "b.jpg|c.jpg"\n',
            "blanks before quotes",
        ),
        ("Products of 2026\n" + HEADER + ROWS_OF_MUGS, "the header is line 2"),
        ("Products of 2026,,\n\n" + HEADER + ROWS_OF_MUGS, "the header is line 3"),
        ("# made 2026, by hand\n# again\n" + mugs(";"), "semicolons, the header is line 3"),
    ],
)
def test_rarer_dialects_are_recognised_where_all_lines_show_them(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path / "c.csv", text)
    assert read(path) == (MUGS, [])
    assert words(path) == f"c.csv: {told}"


@pytest.mark.parametrize(
    ("text", "rows", "num_broken"),
    [
        (HEADER + "A-1,'tis a mug,\nA-2,'a',\n", ["'tis a mug", "'a'"], 0),
        (HEADER + "A-1,'a',\nA-2,rock 'n' roll,\nA-3,b',\n", ["'a'", "rock 'n' roll", "b'"], 0),
        (HEADER + 'A-1, "Vintage" lamp,\nA-2, "x",\n', [' "Vintage" lamp', ' "x"'], 0),
        (HEADER + "A-1,mug,,\nA-2,mug,\n", ["mug"], 1),
        ("item_id,,\nA,x,y\nB,x,y\n", [None, None], 0),
        ("#item_id,title,images\nA,x,y\n", ["x"], 0),
        ("item_id\nA,1\nB,2\n", [], 2),
    ],
)
def test_what_may_be_data_is_data(tmp_path: Path, text: str, rows: list[str | None], num_broken: int) -> None:
    found, broken = read(write(tmp_path / "c.csv", text), {"item_id": "#item_id"} if text[0] == "#" else {})
    assert ([row[1] for row in found], len(broken)) == (rows, num_broken)


def test_blanks_within_quoted_cells_are_none_before_quotes(tmp_path: Path) -> None:
    lists = 'A-1,mug,"[""a.jpg"", ""b.jpg""]"\nA-2,"say, ""hi""","[""b.jpg"", ""c.jpg""]"\n'
    path = write(tmp_path / "c.csv", HEADER + lists)
    assert ([row[1] for row in read(path)[0]], words(path)) == (["mug", 'say, "hi"'], "")


@pytest.mark.medium
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


@pytest.mark.medium
@pytest.mark.parametrize("more", [",extra", ""], ids=["a cell too many", "a cell too few"])
@pytest.mark.parametrize(
    "cell",
    ["<p>a line, with, commas</p>\n" * 1_500, "a,b,c\n", "abc\n" * 600_000],
    ids=["lines as wide as the header", "one line", "many lines"],
)
def test_a_well_closed_cell_in_a_row_of_another_width_is_one_broken_row(tmp_path: Path, cell: str, more: str) -> None:
    text = HEADER + f'L-1,"{cell}"{",a.jpg" * bool(more)}{more}\nA-1,mug,b.jpg\n'
    rows, broken = read(write(tmp_path / "c.csv", text))
    assert rows == [("A-1", "mug", ["b.jpg"])]
    assert [number for number, _ in broken] == [2]
    assert broken[0][1].startswith(f"expected 3 cells, got {4 if more else 2} in {cell.count(chr(10)) + 1:,} lines")


def test_lines_behind_a_quote_that_nobody_closes_are_its_own_up_to_the_next_row(tmp_path: Path) -> None:
    text = HEADER + 'L-1,"long\n' + "abc\n" * 50_000 + "A-1,mug,b.jpg\nabc\n"
    rows, broken = read(write(tmp_path / "c.csv", text))
    assert (rows, [number for number, _ in broken]) == ([("A-1", "mug", ["b.jpg"])], [2, 50_004])


def test_a_quote_that_nobody_closes_takes_no_rows_along(tmp_path: Path) -> None:
    text = HEADER + 'A-0,"stray,a.jpg\n' + "".join(f"A-{i},mug,\n" for i in range(1, 3_000)) + "\n".join("abc") + "\n"
    rows, broken = read(write(tmp_path / "c.csv", text))
    assert (len(rows), [number for number, _ in broken]) == (2_999, [2, 3_002, 3_003, 3_004])


WIDE = "item_id,title,brand,price,stock\n"
#: As wide as the header, and no rows.
SENTENCES = "Wine opener\nEasy, quick, small, light and good\n1. It is small, light, flat, thin, and fast\nend"


@pytest.mark.parametrize("num_between", [2, 20])
@pytest.mark.parametrize("last", ['A-1,pan 24",acme,7,8', 'A-1,pan,24",7,8'], ids=["as wide", "of another width"])
def test_a_quote_that_ends_in_another_row_takes_no_rows_in(tmp_path: Path, num_between: int, last: str) -> None:
    """As RFC 4180 reads it, the first row's title ends in the last."""
    between = "".join(f"B-{i},mug,acme,{i},1\n" for i in range(num_between))
    text = WIDE + 'A-0,"19 inch,acme,3,4\n' + between + f"{last}\nA-2,cup,acme,5,6\n"
    source = {name: name for name in ("item_id", "title")}
    rows = list(csv_rows(str(write(tmp_path / "c.csv", text)), source))
    found = [row.values["item_id"] for row in rows if row.values]
    assert found == [*(f"B-{i}" for i in range(num_between)), "A-1", "A-2"]
    got = f"a quote that ends {num_between + 1} lines below, and rows in between: a stray quote"
    errors = [(row.number, row.error) for row in rows if row.error]
    assert errors == [(2, f"expected a quoted cell that holds no rows, got {got}")]


@pytest.mark.parametrize(
    "cell",
    [
        "first\nsecond\nthird\nfourth",
        "a,b,c,d,e\na,b,c,d\na,b,c,d,e\nz",
        "a,b,c,d,e\n\na,b,c,d,e\nz",
        "\n\n\n\n",
        SENTENCES,
    ],
)
def test_a_cell_of_several_lines_is_one_cell(tmp_path: Path, cell: str) -> None:
    text = f'{WIDE}A-0,"{cell}",acme,3,4\nA-2,cup,acme,5,6\n'
    rows = list(csv_rows(str(write(tmp_path / "c.csv", text)), {"item_id": "item_id", "title": "title"}))
    assert [row.values for row in rows] == [{"item_id": "A-0", "title": cell}, {"item_id": "A-2", "title": "cup"}]


def test_stray_quotes_are_given_up_in_bounded_time(tmp_path: Path) -> None:
    """Each of these lines opens a quote, by itself and within the quote of the line before."""
    started_s = time.process_time()
    read(write(tmp_path / "c.csv", "item_id,title\n" + 'a",b,"\n' * 20_000))
    assert time.process_time() - started_s < 30


def test_a_declared_separator_that_the_file_lacks_is_told(tmp_path: Path) -> None:
    path = declare(str(write(tmp_path / "c.csv", mugs(";"))), {"separator": ","})
    with pytest.raises(UsageError, match=r"one column; if ';' separates several.*\[format\] separator = ';'"):
        read(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n"])
def test_a_carriage_return_within_a_line_is_text(tmp_path: Path, end: str) -> None:
    """As Python's csv module and pandas write it: without quotes."""
    lines = [HEADER.strip(), "A-1,Red\rmug,a.jpg", '"A-2","Blue\rmug",b.jpg', "A-3,\r,c.jpg"]
    rows = [("A-1", "Red\rmug", ["a.jpg"]), ("A-2", "Blue\rmug", ["b.jpg"]), ("A-3", "\r", ["c.jpg"])]
    assert read(write(tmp_path / "c.csv", end.join(lines) + end)) == (rows, [])


MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE, "utf-8-sig": b""}
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=9)
DIALECTS = [
    {"separator": ","},
    {"separator": ";"},
    {"separator": "\t"},
    {"separator": "|"},
    {"separator": ";", "quote": "'"},
    {"separator": ",", "escape": "\\"},
]


@pytest.mark.medium
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
