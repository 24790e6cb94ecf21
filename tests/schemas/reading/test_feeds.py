"""RSS and Atom feeds: items as rows, in bounded memory, and no entity of theirs is believed."""

import gzip
import resource
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import CorruptFileError, UsageError
from schemas.files import declare
from schemas.reading import feeds
from schemas.reading.input_files import check_columns, column_names, count_rows
from schemas.reading.rows import plan_slices, read_slice

GOOGLE = 'xmlns:g="http://base.google.com/ns/1.0"'
COLUMNS = {"item_id": "id", "images": "image_link"}


def rss(*items: str) -> str:
    return (
        f'<?xml version="1.0"?><rss version="2.0" {GOOGLE}><channel><title>Shop</title><link>https://e.com</link>'
        + "".join(f"<item>{item}</item>" for item in items)
        + "</channel></rss>"
    )


def read(path: Path, columns: dict[str, str] | None = None) -> tuple[list[Any], list[tuple[int, str]]]:
    rows, broken = [], []
    columns = COLUMNS if columns is None else columns
    check_columns([str(path)], columns)
    for part in plan_slices([str(path)]):
        for raw in read_slice(part, columns):
            found = [
                raw.mixed.get(n) or raw.table[n].to_pylist() for n in ("item_id", "title", "description", "images")
            ]
            found[-1] = [[cell] if isinstance(cell, str) else cell for cell in found[-1]]  # validation may do that too
            rows += zip(raw.row_numbers.tolist(), *found, strict=True)
            broken += raw.broken
    return rows, broken


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_items_of_a_google_feed_are_rows(tmp_path: Path, encoding: str) -> None:
    text = rss(
        "<g:id>G1</g:id><g:title>Größe &amp; Co</g:title><g:image_link>https://e.com/1.jpg</g:image_link>",
        "<title>Feed's own</title><g:title> Google's\n</g:title><g:id>G2</g:id>"
        "<description><![CDATA[<p>a &amp; b</p>]]></description>"
        "<g:image_link>1.jpg</g:image_link><g:image_link>2.jpg</g:image_link>"
        "<g:shipping><g:country>DE</g:country><g:price>4 EUR</g:price></g:shipping>",
        "<g:id>G3</g:id><g:title/><description>some <b>bold</b> text</description>",
    )
    path = tmp_path / "feed.xml"
    path.write_bytes(text.replace("?>", f' encoding="{encoding}"?>', 1).encode(encoding))
    assert read(path) == (
        [
            (1, "G1", "Größe & Co", None, ["https://e.com/1.jpg"]),
            (2, "G2", "Google's", "<p>a &amp; b</p>", ["1.jpg", "2.jpg"]),
            (3, "G3", None, "some bold text", None),
        ],
        [],
    )
    assert count_rows([str(path)]) == 3
    assert column_names(str(path)) == ["description", "id", "image_link", "shipping", "title"]
    (row,) = list(feeds.feed_rows(str(path), {"shipping": "shipping"}))[1:2]
    assert row.values == {"shipping": {"country": "DE", "price": "4 EUR"}}


def test_an_atom_feed_packed_and_by_content(tmp_path: Path) -> None:
    text = (
        f'<feed xmlns="http://www.w3.org/2005/Atom" {GOOGLE}><title>Shop</title>'
        '<entry><id>tag:1</id><g:id>A1</g:id><title>Mug</title><link href="https://e.com/a1"/></entry>'
        "<entry><id>A2</id><title>Cup</title></entry></feed>"
    )
    for name, data in {
        "f.atom": text.encode(),
        "f.xml.gz": gzip.compress(text.encode()),
        "f.txt": text.encode(),
    }.items():
        (tmp_path / name).write_bytes(data)
        rows, _ = read(tmp_path / name, {"item_id": "id", "description": "link"})
        assert rows == [(1, "A1", "Mug", "https://e.com/a1", None), (2, "A2", "Cup", None, None)]


LAUGHS = '<!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FETCHES = '<!DOCTYPE rss [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("declared", [LAUGHS, FETCHES, LAUGHS.replace("ENTITY a", "ENTITY % a")])
def test_entities_are_refused_where_they_are_declared(tmp_path: Path, declared: str) -> None:
    path = tmp_path / "feed.xml"
    path.write_text(rss("<g:id>&a;</g:id>").replace("?>", "?>" + declared))
    with pytest.raises(CorruptFileError, match=r"entity.*feed\.xml"):
        read(path)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (rss("<g:id>1</g:id>")[:-9], CorruptFileError),
        (rss("<g:id>1</g:id>")[:-30], CorruptFileError),
        (rss("<a>" * 200), CorruptFileError),
        ("<", CorruptFileError),
        (rss("<g:id>a & b</g:id>"), UsageError),
        (rss("<g:id>a&b;</g:id>"), UsageError),
        (rss("<g:id>a <b</g:id>"), UsageError),
        (rss("<g:id>a<b></g:id>"), UsageError),
        (rss("<g:id>\x01</g:id>"), UsageError),
        ("x", UsageError),
    ],
)
def test_what_is_not_well_formed_is_named_with_its_line(tmp_path: Path, text: str, error: type[Exception]) -> None:
    """A file that ends too early is damaged, one that was written so is not."""
    (tmp_path / "feed.xml").write_text(text)
    with pytest.raises(error, match=r"line \d+, column \d+ of .*feed\.xml"):
        read(tmp_path / "feed.xml")


def test_xml_that_is_no_feed_is_told(tmp_path: Path) -> None:
    (tmp_path / "feed.xml").write_text("<html><body/></html>")
    with pytest.raises(UsageError, match=r"RSS or Atom feed, got XML of <html>"):
        read(tmp_path / "feed.xml")
    (tmp_path / "feed.xml").write_bytes(b"")
    assert read(tmp_path / "feed.xml") == ([], [])


def test_an_oversized_item_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MAX_LINE_BYTES", 200_000)
    item = "<g:id>G{}</g:id><title>{}</title>"
    path = tmp_path / "feed.xml"
    path.write_text(
        rss(item.format(1, "a"), item.format(2, "b" * 300_000), item.format(3, "<x/>" * 1_000), item.format(4, "d"))
    )
    rows, broken = read(path, {"item_id": "id"})
    assert ([row[:3] for row in rows], [number for number, _ in broken]) == ([(1, "G1", "a"), (4, "G4", "d")], [2, 3])
    path.write_text(rss(f'<g:id a="{"x" * 500_000}">1</g:id>'))
    with pytest.raises(CorruptFileError, match="a tag of more than 200,000 bytes"):
        read(path)


@pytest.mark.medium
def test_a_long_feed_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "feed.xml.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write(f"<rss {GOOGLE}><channel>")
        for number in range(40_000):
            file.write(f"<item><g:id>{number}</g:id><title>{'mug ' * 500}</title></item>")
        file.write("</channel></rss>")
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check_columns([str(path)], COLUMNS | {"images": "id"})
    (part,) = plan_slices([str(path)])
    assert sum(raw.num_rows for raw in read_slice(part, {"item_id": "id"})) == 40_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 300_000


@pytest.mark.parametrize("says", [' encoding="UTF-8"', ""])
@pytest.mark.parametrize(
    ("letter", "remedy"),
    [
        (b"\xe9", r"is none of UTF-8, .*encoding = \"cp1252\""),
        (b" \x93x", r"is none of UTF-8, .*encoding = \"cp1252\""),
        (b"\x01", "take the character .* away"),
        (b" & ", "write & as &amp;"),
        ("é & ".encode(), "write & as &amp;"),
    ],
)
def test_what_is_wrong_with_a_letter_of_a_feed_is_told(tmp_path: Path, says: str, letter: bytes, remedy: str) -> None:
    path = tmp_path / "f.xml"
    text = rss("<g:id>a</g:id><g:title>Caf@</g:title>").replace("?>", f"{says}?>", 1)
    path.write_bytes(text.encode().replace(b"@", letter))
    with pytest.raises(UsageError, match=remedy):
        read(path)


def test_a_feed_in_another_encoding_than_it_says_is_read_by_the_configs(tmp_path: Path) -> None:
    path = tmp_path / "f.xml"
    path.write_bytes(rss("<g:id>a</g:id><g:title>Caf\xe9 \u201cx\u201d</g:title>").encode("cp1252"))
    rows = feeds.feed_rows(declare(str(path), {"encoding": "cp1252"}), {"title": "title"})
    assert [row.values for row in rows] == [{"title": "Caf\xe9 \u201cx\u201d"}]
