"""The items of an RSS or Atom feed, as Google Merchant Center takes them, one after the other.

A column is called as its element without the prefix: `<g:image_link>` is `image_link`. Where several elements share
that name, Google's go before the feed's own, and those before others; repeated ones are a list. An element without text
is its address, if it has one (`href`, `url`), one of elements is an object of them, and one of text between elements,
as of XHTML, is all its text.
"""

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from xml.parsers import expat

from schemas.columns.raw_rows import Row
from schemas.errors import CorruptFileError, UsageError
from schemas.files import shown
from schemas.quarantine import quote
from schemas.reading.forms import form_of
from schemas.reading.text import MAX_LINE_BYTES
from schemas.reading.text_streams import open_unpacked

_ROOTS, _ITEMS = {"rss", "feed", "rdf"}, {"item", "entry"}
_NAMESPACE_RANKS = {"http://base.google.com/ns/1.0": 0, "": 1, "http://www.w3.org/2005/Atom": 1}
_OTHER_RANK = 2
_ADDRESSES = ("href", "url")
_PIECE_BYTES = 64 << 10
_MAX_DEPTH = 100
_NUM_PEEKED_ITEMS = 1_000
#: What is wrong with XML that was written by hand or as text, of the errors that expat knows.
_AS_WRITTEN = {
    expat.errors.codes[text]
    for text in (
        expat.errors.XML_ERROR_INVALID_TOKEN,
        expat.errors.XML_ERROR_UNDEFINED_ENTITY,
        expat.errors.XML_ERROR_TAG_MISMATCH,
        expat.errors.XML_ERROR_DUPLICATE_ATTRIBUTE,
        expat.errors.XML_ERROR_UNBOUND_PREFIX,
        expat.errors.XML_ERROR_SYNTAX,
    )
}
#: A prefix that the feed does not declare, and what to do.
_UNBOUND = expat.errors.codes[expat.errors.XML_ERROR_UNBOUND_PREFIX]
_DECLARE = (
    "declare the prefix of the names in the feed's first tag, that of Google's so: "
    '<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">'
)
_MAX_LETTER_BYTES = 4
#: What an element takes in memory beside its text.
_ELEMENT_BYTES = 500


def feed_rows(path: str, source: Mapping[str, str]) -> Iterator[Row]:
    """Rows of a feed; `source`: our name -> element. Repeated elements are a list. Numbers are places in the feed.

    Raises UsageError for XML that is no feed, and for what was written in another way than XML, such as a & in a text;
    CorruptFileError for a file that ends too early or has what no feed needs.
    """
    for row in _items(path):
        if row.values is None:
            yield row
            continue
        yield Row(row.number, row.size_bytes, {ours: row.values.get(theirs) for ours, theirs in source.items()})


def feed_keys(path: str) -> set[str]:
    """The names of the elements that the first items have."""
    return {name for row in islice(_items(path), _NUM_PEEKED_ITEMS) for name in row.values or ()}


def _items(path: str) -> Iterator[Row]:
    """Rows of all elements of an item."""
    form = form_of(path)
    if form.is_empty:
        return
    reader = _FeedReader(path, form.encoding)
    with open_unpacked(path, form.compression) as file:
        while piece := file.read(_PIECE_BYTES):
            yield from reader.read(piece)
        yield from reader.read(b"")


def _is_as_written(error: Exception) -> bool:
    """Whether what wrote the file is to blame, so that it would come out the same again; else the file is damaged."""
    return getattr(error, "code", None) in _AS_WRITTEN


def _is_no_utf8(start: bytes) -> bool:
    """Whether no letter of UTF-8 begins so; one that the bytes cut off may."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError as error:
        return error.start == 0
    return False


@dataclass(slots=True)
class _Element:
    name: str
    rank: int
    address: str | None
    texts: list[str] = field(default_factory=list)
    has_text: bool = False
    children: dict[str, tuple[int, list[Any]]] = field(default_factory=dict)

    def add(self, child: "_Element") -> None:
        self.texts += child.texts
        rank, values = self.children.setdefault(child.name, (child.rank, []))
        if child.rank < rank:
            self.children[child.name] = (child.rank, [child.value()])
        elif child.rank == rank:
            values.append(child.value())

    def value(self) -> Any:
        if self.children and not self.has_text:
            return self.values()
        return "".join(self.texts).strip() or self.address

    def values(self) -> dict[str, Any]:
        return {name: values[0] if len(values) == 1 else values for name, (_, values) in self.children.items()}


class _FeedReader:
    """expat's events as items. Entities are refused where they are declared, so none unfolds and no file is fetched."""

    def __init__(self, path: str, encoding: str):
        self._path, self._depth, self._num_bytes = path, 0, 0
        self._num_items, self._item_bytes = 0, 0
        self._open: list[_Element] = []
        self._ready: list[Row] = []
        self._parser = expat.ParserCreate(encoding or None, namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.EntityDeclHandler = self._entity

    def read(self, piece: bytes) -> list[Row]:
        """The items that end in this piece of the file; b"" is its end."""
        self._num_bytes += len(piece)
        try:
            self._parser.Parse(piece, not piece)
        except (expat.ExpatError, ValueError, LookupError) as error:
            if isinstance(error, UsageError | CorruptFileError):
                raise
            if _is_as_written(error):
                is_unbound = getattr(error, "code", None) == _UNBOUND
                remedy = _DECLARE if is_unbound else self._remedy_at(piece)
                raise UsageError(self._told(quote(str(error)), remedy)) from error
            raise self._broken(quote(str(error))) from error
        if self._num_bytes - self._parser.CurrentByteIndex > MAX_LINE_BYTES:
            raise self._broken(f"a tag of more than {MAX_LINE_BYTES:,} bytes")
        ready, self._ready = self._ready, []
        return ready

    def _remedy_at(self, piece: bytes) -> str:
        """What to do about the piece's bytes at which expat gave up."""
        place = self._parser.ErrorByteIndex - self._num_bytes + len(piece)
        found = piece[place : place + _MAX_LETTER_BYTES] if place >= 0 else b""
        if found and _is_no_utf8(found):
            return (
                f"the letter there ({found[:1]!r}) is none of UTF-8, which XML is that says so, or nothing: write it "
                'as UTF-8, or say in a config what it is: [format] encoding = "cp1252", or another'
            )
        if found[:1] < b" " and found[:1].strip():
            return f"take the character {found[:1]!r} away, which XML does not have"
        return "write & as &amp; and < as &lt; in texts"

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        namespace, _, local = name.rpartition(" ")
        if self._depth == 1 and local.lower() not in _ROOTS:
            raise UsageError(
                f"expected an RSS or Atom feed, got XML of <{quote(local)[1:-1]}> in {shown(self._path)}: export a "
                "Google feed (RSS with <item>, its g:id, title and g:image_link), or a table as CSV for --from csv"
            )
        if self._depth > _MAX_DEPTH:
            raise self._broken(f"more than {_MAX_DEPTH} elements within each other")
        if self._open or local in _ITEMS:
            address = next((attributes[key] for key in _ADDRESSES if key in attributes), None)
            self._item_bytes = self._item_bytes * bool(self._open) + len(local) + len(address or "") + _ELEMENT_BYTES
            self._open.append(_Element(local, _NAMESPACE_RANKS.get(namespace, _OTHER_RANK), address))

    def _text(self, text: str) -> None:
        if self._open:
            self._item_bytes += len(text)
            if self._item_bytes > MAX_LINE_BYTES:  # the item is broken: what it has is not kept
                for element in self._open:
                    element.texts, element.children = [], {}
                return
            self._open[-1].texts.append(text)
            self._open[-1].has_text = self._open[-1].has_text or not text.isspace()

    def _end(self, name: str) -> None:
        self._depth -= 1
        if not self._open:
            return
        element = self._open.pop()
        if self._open:
            if self._item_bytes <= MAX_LINE_BYTES:
                self._open[-1].add(element)
            return
        self._num_items += 1
        if self._item_bytes > MAX_LINE_BYTES:
            row = Row(self._num_items, 0, error=f"expected an item of less than {MAX_LINE_BYTES:,} bytes")
        else:
            row = Row(self._num_items, self._item_bytes, element.values())
        self._ready.append(row)

    def _entity(self, name: str, *_: Any) -> None:
        raise self._broken(f"a declaration of the entity {quote(name)}, which no feed needs")

    def _broken(self, what: str) -> CorruptFileError:
        return CorruptFileError(self._told(what, "write it again"))

    def _told(self, what: str, remedy: str) -> str:
        line, column = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber
        return (
            f"expected a feed of well-formed XML, got {what} at line {line:,}, column {column:,} of "
            f"{shown(self._path)}: {remedy}"
        )
