"""Tables as databases print them and write them without quotes: lines of dashes, padded cells, escapes of letters."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from text_tables import words, write

from schemas.files import declare
from schemas.reading.csv_dialects import CsvDialect
from schemas.reading.forms import form_of
from schemas.reading.text import csv_rows

Rows = list[dict[str, str | None]]
PAIRS = [("A-1", "Red mug"), ("A-2", "Blue mug"), ("A-3", "Cup")]
MUGS: Rows = [{"sku": sku, "title": title} for sku, title in PAIRS]
WIDE = [f"{sku:5} | {title:9}" for sku, title in [("sku", "title"), *PAIRS]]


def rows_of(path: Path | str) -> tuple[Rows, int, list[str]]:
    """(the rows, how many are none, the errors of those that are broken)."""
    found = list(csv_rows(path if isinstance(path, str) else str(path), {"sku": "sku", "title": "title"}))
    return (
        [row.values for row in found if row.values is not None],
        sum(row.values is None and row.error is None for row in found),
        [row.error for row in found if row.error is not None],
    )


@pytest.mark.parametrize(
    ("rule", "separator"),
    [
        *(("---,-----", ","), ("---\t-----", "\t"), ("===;=====", ";"), ("--- | ---", "|"), (":--|:-:", "|")),
        *(("---+-----", "|"), ("--------", ","), ("----,", ",")),
    ],
)
def test_a_line_drawn_below_a_header_is_no_item_and_is_counted(tmp_path: Path, rule: str, separator: str) -> None:
    lines = [separator.join(("sku", "title")), rule, *(separator.join(pair) for pair in PAIRS), rule]
    assert rows_of(write(tmp_path / "c.csv", "\n".join(lines) + "\n")) == (MUGS, 2, [])


@pytest.mark.parametrize("row", ["-,-", "A-1,---", "---,A mug", "-,--x", "+1,2"])
def test_a_row_with_dashes_in_it_is_one(tmp_path: Path, row: str) -> None:
    path = write(tmp_path / "c.csv", f"sku,title\n{row}\n")
    assert rows_of(path) == ([dict(zip(("sku", "title"), row.split(","), strict=True))], 0, [])


def test_dashes_within_a_quoted_cell_are_data(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", 'sku,title\nA-1,"Mug\n-----\nred"\n')
    assert rows_of(path) == ([{"sku": "A-1", "title": "Mug\n-----\nred"}], 0, [])


def test_psql_and_mysql_print_tables_in_padded_cells(tmp_path: Path) -> None:
    rule = "------+----------"
    psql = write(tmp_path / "psql.txt", "\n".join([WIDE[0], rule, *WIDE[1:]]) + "\n")
    assert rows_of(psql) == (MUGS, 1, [])
    assert words(psql) == "psql.txt: pipes, blanks around cells"
    box = [f"+{rule}+", f"| {WIDE[0]} |", f"+{rule}+", *(f"| {line} |" for line in WIDE[1:]), f"+{rule}+"]
    mysql = write(tmp_path / "mysql.txt", "\n".join(box) + "\n")
    assert rows_of(mysql) == (MUGS, 2, [])
    assert words(mysql) == "mysql.txt: pipes, blanks around cells, the header is line 2"


@pytest.mark.parametrize("text", ["sku|title\nA-1| Mug\n", "sku, title\nA-1, Mug\n", "sku |title\nA-1 |Mug\n"])
def test_blanks_on_one_side_of_a_separator_are_data(tmp_path: Path, text: str) -> None:
    assert not form_of(str(write(tmp_path / "c.csv", text))).dialect.is_padded


def by_mysql(text: str) -> str:
    """As `mysql -B` writes a cell."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def by_copy(text: str) -> str:
    """As COPY of PostgreSQL does."""
    return by_mysql(text).replace("\r", "\\r")


def into_outfile(text: str) -> str:
    """As SELECT ... INTO OUTFILE of MySQL does: what it escapes stands behind the escape."""
    return text.replace("\\", "\\\\").replace("\n", "\\\n").replace("\t", "\\\t")


def by_clickhouse(text: str) -> str:
    """As ClickHouse writes TabSeparated."""
    return by_copy(text).replace("'", "\\'")


def is_not_quoted(text: str) -> bool:
    """Whether there is a text, and nobody takes its first and last letter for the quotes around it."""
    plain = text.strip()
    return bool(plain) and not (plain[0] == '"' == plain[-1])


@pytest.mark.medium
@pytest.mark.parametrize("written", [by_mysql, by_copy, into_outfile, by_clickhouse])
@given(texts=st.lists(st.text(st.sampled_from("ab ntN\\\n\t\",é'"), min_size=1).filter(is_not_quoted), max_size=8))
@example(texts=["C:\\temp\\new", "\\N n", '5" x\\', "Men's"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_escapes_of_databases_are_read_back(tmp_path: Path, written, texts: list[str]) -> None:
    texts = ["Warm.\nSoft.", "Thin.\nWashed.\tCold", *texts]
    lines = ["sku\ttitle", *(f"A-{n}\t{written(text)}" for n, text in enumerate(texts)), "Z\t\\N"]
    path = write(tmp_path / "c.tsv", "\n".join(lines) + "\n")
    rows, _, errors = rows_of(path)
    assert ([row["title"] for row in rows], errors) == ([*texts, "\\N"], [])
    assert words(path) == "c.tsv: quotes are data, \\n and \\t stand for line ends and tabs"


@pytest.mark.parametrize(
    "cells",
    [
        ["C:\\images\\a", "C:\\new\\b", "C:\\tiles"],
        ["pics\\n1.jpg", "pics\\n2.jpg"],
        ['{"text": "a\\nb"}', '{"text": "b\\nc"}'],
        ['"a\\nb"', '"c\\nd"'],
        ["\\alpha\\n", "a\\nb"],
        ["one\\ntwo"],
        ["mid \\N dle\\n", "a\\nb"],
    ],
)
def test_other_backslashes_stay(tmp_path: Path, cells: list[str]) -> None:
    lines = ["sku\ttitle", *(f"A-{n}\t{cell}" for n, cell in enumerate(cells))]
    path = write(tmp_path / "c.tsv", "\n".join(lines) + "\n")
    assert [row["title"] for row in rows_of(path)[0]] == [cell.strip('"') for cell in cells]


def test_commas_have_no_such_escapes_unless_the_config_says_so(tmp_path: Path) -> None:
    path = str(write(tmp_path / "c.csv", "sku,title\nA-1,a\\nb\nA-2,c\\nd\\\ne\nA-3,\\N\n"))
    assert form_of(path).dialect == CsvDialect()
    rows, _, errors = rows_of(declare(path, {"quote": "", "escape": "\\"}))
    assert ([row["title"] for row in rows], errors) == (["a\nb", "c\nd\ne", "\\N"], [])
