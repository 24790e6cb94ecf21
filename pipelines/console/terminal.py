"""Text for people: untrusted words made harmless, in columns that stay aligned on a terminal; tables of a page."""

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal

from schemas.cells.markup import without_markup
from schemas.errors import printable


def terminal_columns(text: str) -> int:
    """Columns that a printable text takes on a terminal: East Asian wide characters take two."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def shortened(text: str | None, most: int) -> str:
    """The printable text, of one longer than `most` characters the beginning and `…`.

    >>> shortened("a red dress", 6), shortened(None, 6)
    ('a red…', '')
    """
    shown = printable(text or "")
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def print_page(page: str) -> None:
    """Prints Markdown as it is written, but for what a terminal must not be given."""
    print("\n".join(map(printable, page.split("\n"))), end="", flush=True)


def shown_title(title: str | None, most: int) -> str:
    """An item's title for a person, as `shortened`: files keep it as the shop wrote it.

    >>> shown_title("Salt &amp; <b>Pepper</b>", 20)
    'Salt & Pepper'
    """
    return shortened(without_markup(title or ""), most)


def aligned(rows: Sequence[Sequence[str]], to_the_right: Collection[int] = ()) -> list[str]:
    """A line for each row, two spaces between columns; those numbered in `to_the_right` end where their widest cell
    ends, the others begin where it begins. Nothing in a cell acts on a terminal.

    >>> aligned([("rank", "id"), ("1", "a"), ("12", "bcd")], to_the_right={0})
    ['rank  id', '   1  a', '  12  bcd']
    """
    columns = []
    for number, given in enumerate(zip(*rows, strict=True)):
        column = list(map(printable, given))
        width = max(map(terminal_columns, column))
        spaces = [" " * (width - terminal_columns(cell)) for cell in column]
        pairs = zip(spaces, column, strict=True) if number in to_the_right else zip(column, spaces, strict=True)
        columns.append(["".join(pair) for pair in pairs])
    return ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown; all columns but the first to the right.

    >>> markdown_table(["method", "recall"], [["last item", ".037"]])
    ['| method | recall |', '| --- | ---: |', '| last item | .037 |']
    """
    columns = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return ["| " + " | ".join(row) + " |" for row in columns]


def few_digits(value: float) -> str:
    """A figure at a glance: whole from 10 on, else its first two digits, never an exponent.

    >>> few_digits(2000.4), few_digits(8.34), few_digits(0.4), few_digits(0.00001)
    ('2,000', '8.3', '0.4', '0.00001')
    """
    return f"{value:,.0f}" if abs(value) >= 10 else format(Decimal(f"{value:.2g}"), "f")


def in_words(counts: Mapping[str, int]) -> str:
    """
    >>> in_words({"rows_read": 1_200, "rows_used": 0})
    'rows read 1,200, rows used 0'
    """
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())


def found_in_words(counts: Mapping[str, int]) -> str:
    """Those that are not 0, by name.

    >>> found_in_words({"rows_used": 0, "rows_read": 2, "bad": 1})
    'bad 1, rows read 2'
    """
    return in_words({name: count for name, count in sorted(counts.items()) if count})
