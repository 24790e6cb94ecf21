"""Files as shops have them: whatever encodes or packs them, and whatever they are called, the same rows come out."""

import codecs
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_tables import GOOGLE_TEXT, HEADER, MUGS, mugs, packed, read, words, write

from schemas.errors import CorruptFileError, UsageError
from schemas.files import declare, expand_inputs
from schemas.reading.formats_of_config import checked_format
from schemas.reading.input_files import column_names, count_rows, input_identity
from schemas.reading.rows import plan_slices, read_slice


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


@pytest.mark.medium
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


@pytest.mark.parametrize("layout", ["lines", "pretty", "compact"])
def test_a_json_array_is_read_element_by_element(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemas.reading.json_arrays._PIECE_BYTES", 7)
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


@pytest.mark.parametrize(("encoding", "text"), [("cp1251", "Лампа высокая"), ("shift-jis", "背の高いランプ")])
def test_another_encoding_is_named_as_something_to_say(tmp_path: Path, encoding: str, text: str) -> None:
    path = write(tmp_path / "c.csv", HEADER + f"A-1,{text},\n", encoding)
    assert words(path) == 'c.csv: not UTF-8: say what it is, in the config: [format] encoding = "cp1251" or another'
    said = declare(str(path), checked_format({"encoding": encoding}, "catalogue", "c.toml"))
    assert (read(said)[0], words(said)) == (
        [("A-1", text, None)],
        f"c.csv: {encoding.upper().replace('CP', 'cp').replace('-', '_')}",
    )
    assert words(write(tmp_path / "d.csv", (HEADER + "A-1,Caf").encode() + b"\xff,\n" + "A-2,Größe,\n".encode())) == ""


def test_empty_parts_have_no_rows(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    write(parts / "part-0.csv", HEADER + "A-1,Red mug,a.jpg\n")
    for number, empty in enumerate([b"", b" \n\n", codecs.BOM_UTF8, gzip.compress(b"")], 1):
        write(parts / f"part-{number}.csv", empty)
    assert read(parts) == (MUGS[:1], [])
    assert words(parts) == "part-1.csv and 3 more: empty, no rows"
    assert count_rows(expand_inputs(str(parts))) == 1


def test_declared_forms(tmp_path: Path) -> None:
    text = "item_id^title^images\nA-1^$Größe ^ 5!$$^$a.jpg$\n"
    table = {"type": "csv", "separator": "^", "quote": "$", "escape": "!", "encoding": "latin-1"}
    form = checked_format(table, "catalogue", "shop.toml")
    path = declare(str(write(tmp_path / "export", text, "latin-1")), form)
    assert read(path) == ([("A-1", "Größe ^ 5$", ["a.jpg"])], [])
    assert input_identity(expand_inputs(path))[0]["format"] == form
    with pytest.raises(UsageError, match="--format csv"):
        read(str(path))


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


def test_what_is_named_like_text_and_is_none_says_what_it_is(tmp_path: Path) -> None:
    for data, what in ((b"PK\x03\x04abc", "Excel"), (b"PAR1abc", "Parquet")):
        with pytest.raises(UsageError, match=what):
            read(write(tmp_path / "c.csv", data))
    with pytest.raises(CorruptFileError, match=r"c\.csv"):
        read(write(tmp_path / "c.csv", codecs.BOM_UTF16_LE + (HEADER + "a,b,c").encode("utf-16-le") + b"x"))


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


@pytest.mark.medium
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


@pytest.mark.parametrize(
    "page",
    [
        "<!DOCTYPE html>\n<html><body>Please log in, or register</body></html>\n",
        "\n<html lang=en>\n<head><title>Sign in</title></head></html>",
        '<?xml version="1.0"?>\n<!-- saved -->\n<!doctype HTML PUBLIC "x">\n<html></html>',
        "<head><meta charset=utf-8></head>",
    ],
)
@pytest.mark.parametrize("name", ["c.csv", "c.tsv", "c.json", "c.txt", "c.csv.gz"])
def test_a_page_that_was_saved_for_a_table_is_named(tmp_path: Path, page: str, name: str) -> None:
    for encoding in ("utf-8", "utf-16"):
        with pytest.raises(UsageError, match=r"an HTML page.*log in.*save the table as CSV"):
            read(write(tmp_path / name, page, encoding))
    assert read(write(tmp_path / "d.csv", HEADER + "A-1,<html> mug,a.jpg\n"))[0] == [("A-1", "<html> mug", ["a.jpg"])]
