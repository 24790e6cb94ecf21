"""What is kept of a cell of a shop's table, and what it holds: text, pictures, addresses, objects of a record, texts of
documents."""

import re
from dataclasses import dataclass
from typing import Any

from pipelines.init.table.nested import says_nothing, without_documents
from schemas.cells.lists import joined_text, list_members
from schemas.cells.text import UnreadableCellError, cell_text
from schemas.columns.localised_texts import OF_ALL, texts_by_language
from schemas.columns.names import plain_name
from schemas.columns.nested_columns import without_maps
from schemas.pictures.cells import MIN_BASE64_CHARACTERS, BadPicture, Picture
from schemas.pictures.types import is_called_like_a_picture, picture_type

#: What an object that is a picture has, by its plain name: its address, and what is known of it.
_KEYS_OF_PICTURES = frozenset(
    (
        *("src", "url", "link", "href", "originalsrc", "image", "id", "alt", "alttext", "caption", "width", "height"),
        *("position", "order", "sort", "rank", "type", "mimetype", "mediatype", "format", "size", "variant", "hires"),
        *("thumb", "large", "createdat", "updatedat", "productid", "variantids"),
    )
)
_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)


@dataclass(frozen=True)
class PictureCell:
    """What is kept of a cell of pictures, or of other bytes: how many pictures, and the addresses beside them."""

    num_pictures: int
    addresses: tuple[str, ...] = ()

    def __str__(self) -> str:
        return {0: "bytes", 1: "a picture"}.get(self.num_pictures, f"{self.num_pictures:,} pictures")


def seen_value(value: Any) -> Any:
    """What is kept of a value: itself, a PictureCell for pictures, None for null, blank text and lists of nothing; of
    documents of editors, wherever they are, their EditorText."""
    plain = without_documents(without_maps(value))
    return None if says_nothing(plain) else _without_bytes(plain)


def _without_bytes(value: Any) -> Any:
    """The value; a PictureCell of one that holds pictures, and of bytes that are neither pictures nor text."""
    if not isinstance(value, bytes | dict | list) and not (
        isinstance(value, str) and len(value) > MIN_BASE64_CHARACTERS
    ):
        return value
    cell = picture_cell(value)
    return cell if cell.num_pictures or (isinstance(value, bytes) and text_or_none(value) is None) else value


def text_or_none(value: Any) -> str | None:
    """The text of a value as the jobs read it; None of one that has none."""
    try:
        return cell_text(value)
    except UnreadableCellError:
        return None


def picture_cell(value: Any) -> PictureCell:
    """The pictures and addresses of a value; other bytes, such as a digest or markup, are no pictures here."""
    if isinstance(value, PictureCell):
        return value
    try:
        members = [member for member in list_members(value) if member and not isinstance(member, BadPicture)]
    except UnreadableCellError:
        return PictureCell(0)
    pictures = [member for member in members if isinstance(member, Picture)]
    return PictureCell(
        sum(picture_type(picture.data) is not None for picture in pictures),
        tuple(member for member in members if isinstance(member, str)),
    )


def is_readable(value: Any) -> bool:
    """Whether a field of texts can be made of a value: a text, or a list of texts. Of texts in languages one is named
    with dots: a list of one language has several tomorrow."""
    if not {OF_ALL}.issuperset(texts_by_language(value) or ()):
        return False
    try:
        return joined_text(value) is not None
    except UnreadableCellError as error:
        return bool(error.rest)


def keys_of_record(value: Any) -> list[str]:
    """The keys of a value that is an object, or of the first such in a list, which say more than a picture's address
    and what is known of pictures; [] of any other."""
    if isinstance(value, list):
        return next((keys for member in value if (keys := keys_of_record(member))), [])
    if not isinstance(value, dict):
        return []
    if len(value) == 1:  # a list may be wrapped in an object, and each of its members too
        return keys_of_record(*value.values())
    is_picture = "bytes" in value or _KEYS_OF_PICTURES.issuperset(map(plain_name, value))
    return [] if is_picture else list(value)


def is_name_of_a_picture(text: str) -> bool:
    """Whether a text of one line ends as a picture's name does; behind a ? and a blank there are sentences."""
    return len(text.splitlines()) == 1 and any(map(is_called_like_a_picture, text.rsplit(maxsplit=1)[-1:]))


def is_address(text: str) -> bool:
    """Whether a text is one http(s) address."""
    return _ADDRESS.fullmatch(text) is not None
