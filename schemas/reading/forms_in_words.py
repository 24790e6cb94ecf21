"""What was recognised of the form of files, for a person."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from schemas.errors import UsageError
from schemas.files import declared_form, shown
from schemas.quarantine import quote
from schemas.reading.csv_dialects import SEPARATORS
from schemas.reading.forms import PACKED, FileForm, form_of, suffix_of

if TYPE_CHECKING:
    from schemas.reading.json_objects import Wanted


def forms_in_words(files: Sequence[str], names: Sequence[str], wanted: "Wanted" = ()) -> str:
    """What was recognised of the files whose form is not the usual one of their names; "" if there is none.

    names: what to call each; wanted: see list_of_rows. "items.csv: semicolons, UTF-16", or for several of a form the
    first and how many more.
    """
    alike: dict[str, list[str]] = {}
    for path, name in zip(files, names, strict=True):
        if words := _in_words(path, form_of(path), wanted):
            alike.setdefault(words, []).append(name)
    return "; ".join(
        f"{shown(found[0])}{f' and {len(found) - 1:,} more' if len(found) > 1 else ''}: {words}"
        for words, found in alike.items()
    )


def _in_words(path: str, form: FileForm, wanted: "Wanted") -> str:
    if form.is_empty:
        return "empty, no rows"
    words = _dialect_in_words(path, form) if form.kind == "csv" else []
    words += _json_in_words(path, form, wanted)
    return ", ".join([*words, *_letters_in_words(form), *_packing_in_words(path, form)])


def _dialect_in_words(path: str, form: FileForm) -> list[str]:
    """How a delimited text is written, where it is otherwise than usual."""
    dialect, usual = form.dialect, "\t" if suffix_of(path) == ".tsv" else ","
    words = []
    if dialect.separator != usual:
        words.append(SEPARATORS.get(dialect.separator, f"cells separated by {quote(dialect.separator)}"))
    if dialect.quote != '"':
        words.append(f"quoted by {dialect.quote}" if dialect.quote else "quotes are data")
    if dialect.letters:
        words.append(f"{dialect.escape}n and {dialect.escape}t stand for line ends and tabs")
    elif dialect.escape:
        words.append(f"escaped by {dialect.escape}")
    if dialect.blanks:
        words.append("blanks before quotes")
    if dialect.is_padded:
        words.append("blanks around cells")
    if dialect.is_closed:
        words.append("a separator behind each row")
    if form.header:
        words.append("the config names its columns")
    if dialect.has_title:
        words.append(f"the header is line {dialect.header_line}")
    if dialect.num_label_rows:
        count = dialect.num_label_rows
        words.append(f"{f'{count} lines' if count > 1 else 'a line'} of labels below the header")
    return words


def _json_in_words(path: str, form: FileForm, wanted: "Wanted") -> list[str]:
    """Where the rows of JSON are, if not a line each."""
    words = ["one JSON array"] if form.is_array else []
    words += ["JSON objects one behind the other"] if form.is_run_on else []
    return words + ([found] if (found := _rows_in_object(path, form, wanted)) else [])


def _letters_in_words(form: FileForm) -> list[str]:
    """The encoding and the ends of lines, if they are not the usual ones."""
    words = []
    if form.encoding not in ("utf-8", ""):
        words.append(form.encoding.upper().removesuffix("-LE").removesuffix("-BE").replace("CP", "cp"))
    if form.is_of_other_encoding:
        words.append('not UTF-8: say what it is, in the config: [format] encoding = "cp1251" or another')
    if form.returns:
        words.append("lines end in carriage returns")
    return words


def _packing_in_words(path: str, form: FileForm) -> list[str]:
    """How it is compressed, if the name does not say that."""
    packed = {"gzip": (".gz", ".gzip"), "zstd": (".zst", ".zstd"), "": ()}[form.compression]
    if packed and not path.lower().endswith(packed):
        return [form.compression]
    return ["not compressed"] if not packed and path.lower().endswith(PACKED) else []


def _rows_in_object(path: str, form: FileForm, wanted: "Wanted") -> str:
    """Which list of an object holds the rows; "" for none."""
    if form.kind != "json" or form.is_array:
        return ""
    from schemas.reading.json_objects import (
        list_of_rows,  # a moment that commands which read no table need not wait for
    )

    told = declared_form(path).get("list")
    try:
        found = list_of_rows(form.envelope, wanted, path) if told is None else told
    except UsageError:  # which reading raises too, where it is not told
        return ""
    return f"one JSON object, whose {quote(found)} are the rows" if found else ""
