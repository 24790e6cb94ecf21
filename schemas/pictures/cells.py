"""Pictures in the cells of a table, beside addresses of pictures: bytes, image structs, base64.

| in the cell | is |
|---|---|
| bytes with control characters, as all picture files have, or of markup (`<svg`) | a picture, be it a good one or not |
| other bytes | the text of an address, or of several |
| `{"bytes": ..., "path": ...}` (Hugging Face) | the picture; without bytes, the address of the path |
| `data:image/png;base64,...` | the picture; the text may hold several, and addresses |
| base64 of a JPEG, PNG, GIF or WEBP (BigQuery's bytes in CSV and JSON) | the picture |

A picture that cannot be had from its cell is a BadPicture and costs only itself. Whether bytes can be decoded is judged
where pictures are.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from schemas.pictures.stored import stored_path
from schemas.quarantine import quote

#: A picture in a cell may be as large as what a camera of 50 megapixels writes.
MAX_PICTURE_BYTES = 32 << 20
#: A column of texts that are longer than this may hold base64.
MIN_BASE64_CHARACTERS = 200
_CONTROL = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f]")
_DATA_URI = re.compile(r"\s*data:[^,]{0,200},", re.IGNORECASE | re.ASCII)
#: Looks one character back: a text of separators alone must not be gone through once for each of them.
_DATA_URI_START = re.compile(r"(?<![^|,;\s])(?=data:[^,]{0,200},)", re.IGNORECASE | re.ASCII)
_SEPARATORS = "|,; \t\r\n"
#: Base64 may be wrapped: a blank ends it only before what has a dot or colon, as addresses have and base64 has not.
_BASE64_URI_END = re.compile(r"[,;]|(?<=\s)(?=[^\s,;.:]*[.:])")
_BARE_BASE64 = re.compile(
    rf"\s*(?:/9j/|iVBORw0KGgo|R0lGOD|UklGR)[A-Za-z0-9+/\s]{{{MIN_BASE64_CHARACTERS},}}(?:=\s*){{0,2}}", re.ASCII
)
_BLANKS = re.compile(r"\s+")
_URL_SAFE = str.maketrans("-_", "+/")

#: What the owner of a BadPicture can do, by its reason.
REMEDIES = {
    "too_many_bytes": "store a smaller picture in the cell, or a file, and list its path",
    "not_a_picture": "write the whole picture into the cell, or list its path or URL",
    "not_json": "write the column as JSON in the export: json_format(cast(x as json)) in Athena, to_json in Spark",
    "missing": "list the picture's path or URL, or write the picture into the cell",
}


class Picture(NamedTuple):
    """The bytes of a picture that is in its cell."""

    data: bytes


class BadPicture(NamedTuple):
    """A picture that its cell does not give; fields as in schemas.quarantine.Rejection."""

    reason: str
    expected: str
    got: str


def picture_of_bytes(data: bytes) -> Picture | BadPicture:
    """What the bytes of a cell are, once they are taken for a picture."""
    if len(data) > MAX_PICTURE_BYTES:
        return BadPicture("too_many_bytes", f"at most {MAX_PICTURE_BYTES:,} bytes in a cell", f"{len(data):,} bytes")
    return Picture(data)


def looks_like_picture(data: bytes) -> bool:
    """Whether bytes of which nothing else is known are a picture, not the text of an address.

    >>> looks_like_picture(b"\\xff\\xd8\\xff\\xe0\\0\\x10JFIF"), looks_like_picture(b"a/b.jpg")
    (True, False)
    """
    return data.lstrip()[:1] == b"<" or _CONTROL.search(data) is not None


def picture_of_text(text: str) -> Picture | BadPicture | None:
    """The picture that a text is; None for a text that is none, but may be an address."""
    if _DATA_URI.match(text):
        head, _, body = text.partition(",")
        return _of_base64(body) if _says_base64(head) else picture_of_bytes(unquote_to_bytes(body))
    if stored_path(text) is not None:  # it would name another item's picture, or none
        return BadPicture("missing", "a picture, or its path or URL", quote(text))
    return _of_base64(text) if len(text) > MIN_BASE64_CHARACTERS and _BARE_BASE64.fullmatch(text) else None


def picture_of_struct(value: Mapping[str, Any]) -> Any:
    """The picture of an object that has `bytes`, or, where these are null, its `path`. A BadPicture says the path."""
    data, path = value["bytes"], value.get("path")
    if isinstance(data, bytes) and data:
        found = picture_of_bytes(data)
    elif isinstance(data, str) and data:
        found = picture_of_text(data) or _of_base64(data)
    else:
        return path
    if isinstance(found, BadPicture) and isinstance(path, str) and path:
        return found._replace(got=f"{found.got} for the path {quote(path)}")
    return found


def split_at_data_uris(text: str) -> Iterator[tuple[str, bool]]:
    """(piece of the text, whether it is a data: URI), in their order; what separates a URI from others is left out.

    >>> list(split_at_data_uris("a.jpg, data:,x|b.jpg"))
    [('a.jpg', False), ('data:,x', True), ('b.jpg', False)]
    """
    before, *uris = _DATA_URI_START.split(text)
    if not uris:
        yield text, False
        return
    if before := before.rstrip(_SEPARATORS):
        yield before, False
    for piece in uris:
        head, comma, body = piece.partition("|")[0].partition(",")
        end = _BASE64_URI_END.search(body) if _says_base64(head) else None
        body = body if end is None else body[: end.start()]
        yield head + comma + body.rstrip(_SEPARATORS), True
        if behind := piece[len(head) + len(comma) + len(body) :].strip(_SEPARATORS):
            yield behind, False


def _says_base64(head: str) -> bool:
    """Whether the data: URI of this head, all before its comma, is one of base64."""
    return _BLANKS.sub("", head).lower().endswith(";base64")


def _of_base64(text: str) -> Picture | BadPicture:
    expected = "base64 of a picture"
    if "%" in text:
        text = unquote_to_bytes(text).decode("ascii", "replace")
    compact = _BLANKS.sub("", text).translate(_URL_SAFE).rstrip("=")
    try:
        data = base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except ValueError:  # binascii.Error, or letters beyond ASCII
        return BadPicture("not_a_picture", expected, quote(text))
    return picture_of_bytes(data) if data else BadPicture("not_a_picture", expected, "nothing")
