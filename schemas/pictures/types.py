"""What a body is, by its first bytes: servers label pictures wrongly, and answer with pages where pictures are gone.
And whether a text ends as the names of pictures do."""

import re

_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
}
#: ISO media files say in their first box what they are, and what else they may be read as: several brands say AVIF or
#: HEIC, others (mif1) only that there is a picture.
_BRANDS = dict.fromkeys((b"avif", b"avis"), "AVIF")
_BRANDS |= dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "HEIC")
_PICTURE_BRANDS = (b"mif1", b"msf1")
_MAX_BRANDS = 32
NAMES = "JPEG PNG GIF WEBP BMP TIFF AVIF HEIC"
#: How the names of pictures end, behind a dot; also of those that no model sees (SVG).
_ENDINGS = "jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|heic|heif|svg"
#: It begins with a dot, so that a long text is gone through once.
_ENDING = re.compile(rf"\.(?:{_ENDINGS})(?:[?#]|\s*\Z)", re.IGNORECASE)


def is_called_like_a_picture(text: str) -> bool:
    """Whether a text ends as names and addresses of pictures do, be it before a query or a fragment, or before blanks.

    >>> is_called_like_a_picture("m/b/Mug, blue.JPG"), is_called_like_a_picture("https://x/a.png?v=1 2")
    (True, True)
    >>> is_called_like_a_picture("a.jpg.zip"), is_called_like_a_picture("jpg")
    (False, False)
    """
    return _ENDING.search(text) is not None


def picture_type(data: bytes) -> str | None:
    """The picture format that the data starts as; None for anything else. Whether it can be decoded is judged where it
    is used.

    >>> picture_type(b"RIFF\\x10\\0\\0\\0WEBPVP8 "), picture_type(b"<!DOCTYPE html>")
    ('WEBP', None)
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _type_of_brands(data[8 : min(int.from_bytes(data[:4], "big"), 16 + 4 * _MAX_BRANDS)])
    return next((name for start, name in _STARTS.items() if data.startswith(start)), None)


def _type_of_brands(brands: bytes) -> str | None:
    """What a file is whose first box has these brands: the major one, its version, all that it is compatible with."""
    major, others = brands[:4], [brands[start : start + 4] for start in range(8, len(brands), 4)]
    if major in _BRANDS:
        return _BRANDS[major]
    if major not in _PICTURE_BRANDS:
        return None
    return next((_BRANDS[brand] for brand in others if brand in _BRANDS), "HEIC")
