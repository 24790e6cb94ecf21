"""What a body is, by its first bytes: servers label pictures wrongly, and answer with pages where pictures are gone."""

_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
}
#: ISO media files say in their first box what they are.
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}
NAMES = "JPEG PNG GIF WEBP BMP TIFF AVIF HEIC"


def picture_type(data: bytes) -> str | None:
    """The picture format that the data starts as; None for anything else. Whether it can be decoded is judged where it
    is used.

    >>> picture_type(b"RIFF\\x10\\0\\0\\0WEBPVP8 "), picture_type(b"<!DOCTYPE html>")
    ('WEBP', None)
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12])
    return next((name for start, name in _STARTS.items() if data.startswith(start)), None)
