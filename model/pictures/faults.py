"""What may be wrong with a picture, in words for its owner, and what a picture may cost."""

import re
from dataclasses import dataclass

from schemas.pictures.fetched import FETCH_REMEDIES

#: Other Pillow formats are left out: some run programs (EPS), some have no checked decoder.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
#: Of what a file is that phones write and Pillow does not read.
HEIC = "HEIC"
_HEIC_REMEDY = "HEIC is not read: convert to JPEG in the export (phones: Settings, Camera, Formats, Most Compatible)"
#: What is wrong with the content itself: equal bytes under equal limits are rejected in the same words.
CONTENT_REASONS = frozenset(("too_many_pixels", "not_a_picture", "truncated", "undecodable"))

REMEDIES = {
    "missing": "put the file under the image root, or drop its path from the catalogue or log",
    "outside_root": "list a path inside the image root, without symlinks that leave it",
    "remote_uri": (
        "fetch the pictures of http(s) URLs with `itemsage fetch-images`; download others under the image root and "
        "list their paths there"
    ),
    "unreadable": "give this process the right to read the file",
    "too_many_bytes": "store a smaller file or raise --max-picture-bytes",
    "too_many_pixels": "store a smaller picture or raise --max-picture-pixels",
    "not_a_picture": f"store a picture in one of the formats {', '.join(FORMATS)}",
    "truncated": "upload the file again: it ends early",
    "undecodable": "save the picture again with another program: it cannot be decoded",
    "out_of_memory": "give the job more memory or store a smaller picture",
    "encoder_failed": "save the picture again; if many fail, report it with the message",
}
#: For a path with a comma, which may be meant as several.
_LIST_REMEDY = '; several paths in one cell are written as a JSON list, ["a.jpg", "b.jpg"], or in CSV as a.jpg|b.jpg'
#: What stands between a name that is missing and that of a file which differs from it by case alone.
IN_OTHER_CASE = ", but there is "
#: What stands before a URL that lacks its scheme.
NO_SCHEME = "without a scheme: "
_SCHEME_REMEDY = "write https: before addresses that begin with //, in the export; then "
#: What is expected where a picture that came in the table should lie.
IN_RUN = "the picture in the pictures/ of the run"
_RUN_REMEDY = "run ingest again: it writes the pictures that are in the table"
#: What stands behind a URL whose picture is not there although others were fetched.
NOT_FETCHED = ", which is not among the fetched pictures"
_NOT_FETCHED_REMEDY = (
    "fetched/quarantine under the image root says why `itemsage fetch-images` could not get it, with the server's "
    "answer and what to do; if it was not asked for yet, call `itemsage fetch-images`"
)
#: What stands between such a URL and why it was not fetched, a key of FETCH_REMEDIES.
FETCH_FAILED = ", which was not fetched: "
_FETCH_FAULT = re.compile(rf"{FETCH_FAILED}(\w+)")
_ASK_AGAIN = "; then call `itemsage fetch-images`"
_CASE_REMEDY = "write the name as the file has it: capital and small letters are different ones"


class PictureError(ValueError):
    """A picture that cannot be used. `reason` is a key of REMEDIES; `expected` and `got` are short and printable."""

    def __init__(self, reason: str, expected: str, got: str):
        super().__init__(reason, expected, got)
        self.reason, self.expected, self.got = reason, expected, got

    def __str__(self) -> str:
        return f"{self.reason}: expected {self.expected}, got {self.got}: {self.remedy}"

    @property
    def remedy(self) -> str:
        """What the owner of the picture can do."""
        if self.reason == "missing" and IN_OTHER_CASE in self.got:
            return _CASE_REMEDY
        if self.reason == "missing" and self.expected == IN_RUN:
            return _RUN_REMEDY
        fetch_fault = _FETCH_FAULT.search(self.got) if self.reason == "remote_uri" else None
        if fetch_fault is not None and fetch_fault[1] in FETCH_REMEDIES:
            return FETCH_REMEDIES[fetch_fault[1]] + _ASK_AGAIN
        if self.reason == "remote_uri" and self.got.endswith(NOT_FETCHED):
            return _NOT_FETCHED_REMEDY
        if self.reason == "not_a_picture" and HEIC in self.got:
            return _HEIC_REMEDY
        if self.reason == "remote_uri" and self.got.startswith(NO_SCHEME):
            return _SCHEME_REMEDY + REMEDIES[self.reason]
        is_list = self.reason == "missing" and "," in self.got
        return REMEDIES[self.reason] + (_LIST_REMEDY if is_list else "")


@dataclass(frozen=True, kw_only=True)
class PictureLimits:
    """What a picture file may cost: encoded bytes, and pixels as its header declares them.

    The default takes what a camera of 50 megapixels makes (8,688 x 5,792 and somewhat more).
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 56_000_000


DEFAULT_LIMITS = PictureLimits()
