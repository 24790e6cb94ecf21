"""What every item of the features stage was made from: the table FINGERPRINTS of a bucket, written and read in pieces.

A file says of itself, in its metadata, what all of its rows were made with: without that no row tells anything.
"""

import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import CorruptFileError
from schemas.hashing import content_hash
from schemas.tables import FINGERPRINTS, TEXT_FIELDS

#: The folder of a run that holds these files, named as those of features/.
FINGERPRINTS_FOLDER = "fingerprints"
_METADATA_KEY = b"made_with"
_ROWS_A_PIECE = 512
#: Size and time of a picture whose file must be read again, or that has none.
UNKNOWN_PLACE = (-1, -1)
#: In place of the id of a text encoder.
NO_TEXT_VECTORS = "none"
_WITHOUT_TEXT = "text_vectors_id", NO_TEXT_VECTORS


@dataclass(frozen=True, slots=True)
class PictureFingerprint:
    """One listed picture, the fields as in FINGERPRINTS: its file (size_bytes and modified_ns UNKNOWN_PLACE if it must
    be read again), its content (None if it could not be read), and why it was rejected (None for a good one)."""

    uri: str
    size_bytes: int
    modified_ns: int
    sha256: bytes | None
    reason: str | None = None
    expected: str | None = None
    got: str | None = None


@dataclass(frozen=True, slots=True)
class ItemFingerprint:
    """One row of FINGERPRINTS."""

    item_id: str
    text_hash: bytes
    features_hash: bytes | None
    pictures: tuple[PictureFingerprint, ...]

    def usable_pictures(self) -> tuple[bytes, ...]:
        """Digests of the pictures that the item's record has, in its order."""
        return tuple(p.sha256 for p in self.pictures if p.reason is None and p.sha256 is not None)


@dataclass(frozen=True, kw_only=True)
class MadeWith:
    """What all rows of a file were made with. image_root: a hash of the folder that the URIs start from.
    text_vectors_id: the id of
    the text encoder."""

    code_version: int
    encoder_id: str
    vocabulary_id: str
    image_root: str
    max_picture_bytes: int
    max_picture_pixels: int
    text_vectors_id: str = NO_TEXT_VECTORS

    @property
    def limits(self) -> tuple[int, int]:
        """What a picture may cost: bytes, pixels."""
        return self.max_picture_bytes, self.max_picture_pixels

    def to_json(self) -> dict[str, Any]:
        """Without text_vectors_id where there is no text encoder: shops without one keep their files byte for byte."""
        return {name: value for name, value in asdict(self).items() if (name, value) != _WITHOUT_TEXT}


def text_hash(row: Mapping[str, Any]) -> bytes:
    """XXH3-128 of an item's text fields, a missing one as an empty one: equal hashes, equal tokens of one vocabulary.

    >>> text_hash({"title": "a", "brand": None}) == text_hash({"title": "a", "brand": ""}) != text_hash({"brand": "a"})
    True
    """
    texts = [(row.get(name) or "").encode("utf-8", "surrogatepass") for name in TEXT_FIELDS]
    return content_hash(b"".join(len(text).to_bytes(8, "little") + text for text in texts))


class FingerprintsWriter(AbstractContextManager["FingerprintsWriter"]):
    """Writes the rows of one bucket, in the order given, to `path`. Not atomic: give it a temporary name."""

    def __init__(self, path: str | os.PathLike[str], made_with: MadeWith):
        metadata = {_METADATA_KEY: json.dumps(made_with.to_json(), sort_keys=True).encode()}
        self._schema = FINGERPRINTS.with_metadata(metadata)
        self._items: list[ItemFingerprint] = []
        # hashes are all different: dictionaries would only make the file larger and slower
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="zstd", use_dictionary=False, write_page_checksum=True
        )

    def add(self, item: ItemFingerprint) -> None:
        """Writes one row, with the next ones."""
        self._items.append(item)
        if len(self._items) == _ROWS_A_PIECE:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._items:
            self._writer.write_table(_table(self._items, self._schema))
        self._items.clear()


class FingerprintsFile:
    """The fingerprints of one bucket. `made_with` is known from the start, the rows are read as they are asked for.

    Raises CorruptFileError, here and while rows are read, for a file that is not such a table.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = path
        try:
            with pq.ParquetFile(path) as file:
                if not file.schema_arrow.equals(FINGERPRINTS):
                    raise CorruptFileError(f"expected the columns {FINGERPRINTS.names}, got others in {path}")
                values = {"text_vectors_id": NO_TEXT_VECTORS, **json.loads(file.schema_arrow.metadata[_METADATA_KEY])}
            self.made_with = MadeWith(**{field.name: _typed(values, field.name) for field in fields(MadeWith)})
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(f"expected fingerprints of features, got {error!r} for {path}") from error

    def __iter__(self) -> Iterator[ItemFingerprint]:
        try:
            with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
                missing = file.metadata.num_rows
                for batch in file.iter_batches(_ROWS_A_PIECE):
                    yield from map(_item, batch.to_pylist())
                    missing -= batch.num_rows
            if missing:
                raise CorruptFileError(f"expected {missing} more fingerprints, got the end of {self.path}")
        except (pa.ArrowException, OSError, TypeError, ValueError) as error:  # UnicodeDecodeError is a ValueError
            raise CorruptFileError(f"expected fingerprints of features, got {error!r} in {self.path}") from error


def _typed(values: Any, name: str) -> Any:
    value = values[name]
    if type(value) is not MadeWith.__annotations__[name]:
        raise TypeError(f"{name} is {value!r}")
    return value


def _table(items: Sequence[ItemFingerprint], schema: pa.Schema) -> pa.Table:
    """Columns from attributes: ten times as fast as rows of dictionaries."""
    struct = schema.field("pictures").type.value_type
    pictures = [picture for item in items for picture in item.pictures]
    columns = [
        pa.array([getattr(picture, name) for picture in pictures], field.type)
        for name, field in zip(PictureFingerprint.__slots__, struct, strict=True)
    ]
    offsets = list(itertools.accumulate((len(item.pictures) for item in items), initial=0))
    lists = pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()),
        pa.StructArray.from_arrays(columns, fields=list(struct)),
        type=schema.field("pictures").type,
    )
    singles = [
        pa.array([getattr(item, name) for item in items], schema.field(name).type)
        for name in ("item_id", "text_hash", "features_hash")
    ]
    return pa.table([*singles, lists], schema=schema)


def _item(row: dict[str, Any]) -> ItemFingerprint:
    pictures = tuple(PictureFingerprint(*picture.values()) for picture in row["pictures"])
    return ItemFingerprint(row["item_id"], row["text_hash"], row["features_hash"], pictures)
