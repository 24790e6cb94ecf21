"""A quote that stands in a cell by chance: no row is lost in silence, and texts of several lines stay texts."""

import csv
import io
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_tables import write

from schemas.reading import csv_parser
from schemas.reading.csv_dialects import CsvDialect
from schemas.reading.csv_parser import CsvParser, NumberedLine
from schemas.reading.text import csv_rows

HEADERS = {
    2: "item_id,title",
    3: "item_id,title,images",
    5: "item_id,title,brand,size,images",
}
IDS = ["{}", "SKU-{}", "A{}-X", "00{}"]


def rows_of(path: Path) -> tuple[list[tuple[str, str]], list[tuple[int, str]]]:
    """((id, title) of the rows, (line, error) of what is broken)."""
    rows = list(csv_rows(str(path), {"item_id": "item_id", "title": "title"}))
    good = [(row.values["item_id"], row.values["title"]) for row in rows if row.values]
    return good, [(row.number, row.error) for row in rows if row.error]


def _is_like_a_numbered_list(num_columns: int, pattern: str, num_below: int) -> bool:
    """Within a text such lines may stand, and the text stays one cell."""
    return num_columns == 2 and pattern in ("{}", "00{}") and num_below < 3


@pytest.mark.parametrize(
    ("num_columns", "pattern", "num_below"),
    [one for one in product(HEADERS, IDS, [1, 2, 3, 4, 6]) if not _is_like_a_numbered_list(*one)],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_between_two_stray_quotes(
    tmp_path: Path, num_columns: int, pattern: str, num_below: int, end: str
) -> None:
    """As RFC 4180 reads it, one title goes over several rows."""
    titles = [f"mug {number}" for number in range(1, 10)]
    titles[1], titles[1 + num_below] = f'"{titles[1]}', f'{titles[1 + num_below]}"'
    behind = ["", "A", "S", "a.jpg"][-(num_columns - 2) :] if num_columns > 2 else []
    lines = [",".join([pattern.format(number), title, *behind]) for number, title in enumerate(titles, 1)]
    found, broken = rows_of(write(tmp_path / "c.csv", end.join([HEADERS[num_columns], *lines, ""])))
    expected = [(pattern.format(number), title) for number, title in enumerate(titles, 1) if number != 2]
    assert (found, [line for line, _ in broken]) == (expected, [3])
    assert "a stray quote" in broken[0][1]


def test_a_stray_quote_beside_a_row_that_begins_otherwise(tmp_path: Path) -> None:
    lines = [
        '1,"Red mug,a.jpg',
        "2,Blue mug,b.jpg",
        "X-3,Green mug,c.jpg",
        "4,Grey,mug,d.jpg",
        "5,Mug,e.jpg",
        '6,Mug",f.jpg',
    ]
    found, broken = rows_of(write(tmp_path / "c.csv", "\n".join([HEADERS[3], *lines, ""])))
    assert ([item for item, _ in found], [line for line, _ in broken]) == (["2", "X-3", "5", "6"], [2, 5])


def test_ids_that_are_words_with_a_sign(tmp_path: Path) -> None:
    lines = ['red-mug,"Red mug,a.jpg', 'blue-mug,Blue mug",b.jpg', "grey-mug,Grey mug,c.jpg"]
    found, broken = rows_of(write(tmp_path / "c.csv", "\n".join([HEADERS[3], *lines, ""])))
    assert ([item for item, _ in found], [line for line, _ in broken]) == (["blue-mug", "grey-mug"], [2])


TEXTS = [
    "Length 20 cm\nWidth 10 cm",
    "1. Dishwasher safe\n2. Of clay, glazed, and fired\n3. Small",
    "Small, light\nRed, blue, green\n",
    "In the box:\n2 mugs, 2 spoons\n1 tray, 1 cloth",
    "- 12, 14, 16 cm\n- 18, 20, 22 cm",
    "Easy, quick\nGood, cheap\nRed, white\nBig, small",
    "a,b\nc,d\ne,f",
    "Lamp, red\n2,5 kg, blue\n3,5 kg, grey",
    "1,5 kg\n2,5 kg\n3,5 kg\n4,5 kg\n5,5 kg",
    "\n\n",
]


@pytest.mark.parametrize("num_columns", HEADERS)
@pytest.mark.parametrize("pattern", IDS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_of_several_lines_is_one(tmp_path: Path, num_columns: int, pattern: str, text: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([pattern.format(number), text, *["x"] * (num_columns - 2)] for number in range(1, 4))
    found, broken = rows_of(write(tmp_path / "c.csv", f"{HEADERS[num_columns]}\n{out.getvalue()}"))
    assert (found, broken) == ([(pattern.format(number), text) for number in range(1, 4)], [])


WORDS = st.text(st.sampled_from("ab ,.\n12-"), max_size=40)


@given(texts=st.lists(WORDS, min_size=1, max_size=4))
def test_texts_with_commas_and_lines_stay_texts(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([f"SKU-{number}", text, "x"] for number, text in enumerate(texts))
    found, broken = rows_of(write(tmp_path_factory.mktemp("t") / "c.csv", f"{HEADERS[3]}\n{out.getvalue()}"))
    assert (found, broken) == ([(f"SKU-{number}", text or None) for number, text in enumerate(texts)], [])


def test_a_stray_quote_in_a_table_of_one_column_costs_no_other_row(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", 'item_id\n"a-1\na-2\na-3\na-4"\nb\n')
    found = [row.values["item_id"] for row in csv_rows(str(path), {"item_id": "item_id"}) if row.values]
    assert found[-1] == "b"


@pytest.mark.parametrize("name", ["MAX_CSV_ROW_BYTES", "MAX_CSV_ROW_LINES"])
def test_bounds_of_a_row_hold_for_rows_that_end_behind_them(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(csv_parser, name, {"MAX_CSV_ROW_BYTES": 40, "MAX_CSV_ROW_LINES": 4}[name])
    lines = [b'SKU-1,"mug\n', *[b"a long text of it\n"] * 4, b'",x\n', b"SKU-2,cup,y\n"]
    either = [
        list(parser(CsvDialect(), iter(enumerate(lines, 2)), 3, is_closed=False).rows())
        for parser in (CsvParser, AloneParser)
    ]
    assert either[0] == either[1]
    assert sum(error is not None for _, _, _, error, _ in either[0]) > 1


class AloneParser(CsvParser):
    """Each row is parsed by itself, none by a reader that goes on."""

    def _without_doubt(self, number: int, line: bytes) -> list[str] | None:
        return None


PIECES = [b"1", b"SKU-7", b"mug", b'"', b'""', b",", b", ", b"\\", b"\r", b"--", b" ", b"\xff", b'"a\n1,mug,x\n2,b\n']


@pytest.mark.medium
@given(
    lines=st.lists(
        st.one_of(
            st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join),
            st.sampled_from([b"SKU-1,mug,a", b'SKU-2,"mug', b'x",a', b'3,"two\nlines",b', b",,", b"---,---,---"]),
        ),
        max_size=14,
    ),
    end=st.sampled_from([b"\n", b"\r\n"]),
    is_cut_off=st.booleans(),
    dialect=st.sampled_from([CsvDialect(), CsvDialect(escape="\\"), CsvDialect(quote=""), CsvDialect(is_closed=True)]),
    is_closed=st.booleans(),
    place_of_none=st.integers(0, 20),
)
@settings(max_examples=400, deadline=None)
def test_one_reader_for_many_rows_finds_what_one_a_row_finds(
    lines: Sequence[bytes], end: bytes, is_cut_off: bool, dialect: CsvDialect, is_closed: bool, place_of_none: int
) -> None:
    text = end.join(lines) + (b"" if is_cut_off else end)
    numbered: list[NumberedLine] = list(enumerate(io.BytesIO(text).readlines(), 2))
    if place_of_none < len(numbered):
        numbered[place_of_none] = (place_of_none + 2, "expected a shorter line")
    either = [
        list(parser(dialect, iter(numbered), 3, is_closed=is_closed or dialect.is_closed).rows())
        for parser in (CsvParser, AloneParser)
    ]
    assert either[0] == either[1]
