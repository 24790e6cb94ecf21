"""The pictures of one bucket to contents and vectors: what can be known unread is not opened, what is known by its
content is not encoded, equal contents are encoded once."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from model.machine.ordered_map import ordered_map
from model.pictures.faults import CONTENT_REASONS, PictureError, PictureLimits
from model.pictures.files import locate_picture, read_picture_file
from model.pictures.image_encoder import ImageEncoder
from model.pictures.mending import lacks_end_mark
from model.pictures.root import PictureRoot
from pipelines.features.known_features import KnownFeatures
from pipelines.features.picture_vectors import VectorCache, VectorFile
from schemas.records.fingerprints import UNKNOWN_PLACE, PictureFingerprint

ElementT = TypeVar("ElementT")

#: Files read ahead of the encoder: each may be as large as --max-picture-bytes.
_READ_THREADS = 4
_FILES_WAITING = 8
_URIS_A_LOOK = 64


def picture_threads() -> ThreadPoolExecutor:
    """Threads that look for picture files and read them."""
    return ThreadPoolExecutor(_READ_THREADS, thread_name_prefix="read-pictures")


def look_up(image_root: str | PictureRoot, uri: str, limits: PictureLimits) -> tuple[PictureFingerprint, bool]:
    """A picture as far as it is known unopened: the size and time of its file, or why there is none to open. And
    whether the file has another name than the listed one (schemas.pictures.paths)."""
    try:
        located = locate_picture(image_root, uri, limits)
    except PictureError as error:
        return _rejected(PictureFingerprint(uri, *UNKNOWN_PLACE, None), error), False
    return PictureFingerprint(uri, located.size_bytes, located.modified_ns, None), located.is_other_form


def all_unchanged(pictures: Iterable[PictureFingerprint], image_root: str | PictureRoot, limits: PictureLimits) -> bool:
    """Whether each picture's file is as it was, or is missing as it was; opens none."""

    root = PictureRoot.of(image_root)

    def unchanged(chunk: list[PictureFingerprint]) -> bool:
        return all(_is_unchanged(picture, look_up(root, picture.uri, limits)[0]) for picture in chunk)

    with picture_threads() as pool:
        return all(ordered_map(pool, unchanged, _chunks(pictures, _URIS_A_LOOK), max_waiting=_FILES_WAITING))


class BucketPictures:
    """The pictures of a bucket. `resolve` them all, then `take` them item by item, in the order they were listed.

    Memory: the files being read, the encoder's batches, some hundred bytes a picture. Vectors lie in a scratch file.
    """

    def __init__(
        self,
        known: KnownFeatures,
        vectors: VectorFile,
        cache: VectorCache,
        open_encoder: Callable[[], ImageEncoder],
        counts: Counter[str],
        advance: Callable[[int], None],
    ):
        self.known, self.vectors, self.cache = known, vectors, cache
        self.open_encoder, self.counts, self.advance = open_encoder, counts, advance
        self._pictures: list[PictureFingerprint | str] = []  # a URI: the file is still to be read
        self._failed: dict[bytes, PictureError] = {}
        self._new: set[bytes] = set()
        self._counted: set[bytes] = set()
        self._without_end: list[int] = []
        self._in_other_form: set[int] = set()
        self._num_taken = 0

    def resolve(self, uris: Iterable[str], root: PictureRoot, limits: PictureLimits) -> None:
        """Settles every picture: unopened where that can be, else by its content, else through the encoder. Counts
        those read and, as pictures_mended, those of them that are used although their end mark is missing."""

        def look(chunk: list[str]) -> list[tuple[PictureFingerprint | str, bool]]:
            found = ((uri, *look_up(root, uri, limits)) for uri in chunk)
            return [(self._known(picture) or uri, is_other_form) for uri, picture, is_other_form in found]

        def read(number: int) -> tuple[int, PictureFingerprint, bytes | None]:
            return number, *_read(root, str(self._pictures[number]), limits)

        with picture_threads() as pool:
            for looked_up in ordered_map(pool, look, _chunks(uris, _URIS_A_LOOK), max_waiting=_FILES_WAITING):
                for picture, is_other_form in looked_up:
                    if is_other_form:
                        self._in_other_form.add(len(self._pictures))
                    self._pictures.append(picture)
            to_read = [number for number, picture in enumerate(self._pictures) if isinstance(picture, str)]
            self.advance(len(self._pictures) - len(to_read))
            files = ordered_map(pool, read, to_read, max_waiting=_FILES_WAITING)
            self._encode(self._contents_to_encode(files), limits)
        num_mended = sum(self._settled(number).reason is None for number in self._without_end)
        if num_mended:
            self.counts["pictures_mended"] += num_mended

    def take(self, count: int) -> list[PictureFingerprint]:
        """The next `count` pictures, settled, and counted: the first one of a content that the earlier run lacks is
        computed, the others are reused. pictures_in_other_form: good ones whose file has another name than listed."""
        start = self._num_taken
        self._num_taken += count
        pictures = [self._settled(number) for number in range(start, start + count)]
        self.counts["pictures_listed"] += count
        for number, picture in enumerate(pictures, start):
            if picture.reason is None and number in self._in_other_form:
                self.counts["pictures_in_other_form"] += 1
            if picture.reason is None and picture.sha256 is not None:
                computed = not self.known.is_reused(picture.sha256) and picture.sha256 not in self._counted
                self._counted.add(picture.sha256)
                self.counts["pictures_computed" if computed else "pictures_reused"] += 1
        return pictures

    def vector(self, digest: bytes) -> np.ndarray:
        """float16 [picture_dim] of the content of a good picture."""
        return self.vectors.get(digest) if digest in self.vectors else self.known.vector(digest)

    def _known(self, found: PictureFingerprint) -> PictureFingerprint | None:
        """What is known of a picture unopened; None if its file must be read."""
        if found.reason is not None:
            return found
        return self.known.picture_at(found.uri, found.size_bytes, found.modified_ns)

    def _contents_to_encode(
        self, files: Iterator[tuple[int, PictureFingerprint, bytes | None]]
    ) -> Iterator[tuple[bytes, bytes]]:
        """(digest, bytes) of each content whose vector is not known, once; files are recorded as they pass."""
        for number, picture, data in files:
            self._pictures[number] = picture
            if picture.sha256 is not None and data is not None:
                self.counts["pictures_read"] += 1
                if lacks_end_mark(data):
                    self._without_end.append(number)
                if self._must_encode(picture.sha256):
                    yield picture.sha256, data
                    continue
            self.advance(1)

    def _must_encode(self, digest: bytes) -> bool:
        if digest in self._new or self.known.has_vector(digest) or self.known.rejection(digest) is not None:
            return False
        self._new.add(digest)
        vector_D = self.cache.get(digest)
        if vector_D is not None:
            self.vectors.add(digest, vector_D)
        return vector_D is None

    def _encode(self, contents: Iterator[tuple[bytes, bytes]], limits: PictureLimits) -> None:
        """The encoder is loaded at the first content that needs it."""
        for first in contents:
            stream = self.open_encoder().encode_stream(itertools.chain([first], contents), limits)
            for digest, value in stream:
                self.advance(1)
                if isinstance(value, PictureError):
                    self._failed[digest] = value
                else:
                    self.vectors.add(digest, value)
                    self.cache.add(digest, value)

    def _settled(self, number: int) -> PictureFingerprint:
        """A picture with the verdict on its content."""
        picture = self._pictures[number]
        assert isinstance(picture, PictureFingerprint), "resolve has read every file"
        if picture.reason is not None or picture.sha256 is None:
            return picture
        error = self._failed.get(picture.sha256) or self.known.rejection(picture.sha256)
        return picture if error is None else _rejected(picture, error)


def _read(image_root: PictureRoot, uri: str, limits: PictureLimits) -> tuple[PictureFingerprint, bytes | None]:
    try:
        file = read_picture_file(image_root, uri, limits)
    except PictureError as error:
        return _rejected(PictureFingerprint(uri, *UNKNOWN_PLACE, None), error), None
    digest = hashlib.sha256(file.data).digest()
    return PictureFingerprint(uri, file.size_bytes, file.modified_ns, digest), file.data


def _rejected(picture: PictureFingerprint, error: PictureError) -> PictureFingerprint:
    """A picture with its fault; it is tried again another day unless the fault is its content's."""
    verdict: dict[str, Any] = {"reason": error.reason, "expected": error.expected, "got": error.got}
    if error.reason not in CONTENT_REASONS:
        verdict |= {"size_bytes": UNKNOWN_PLACE[0], "modified_ns": UNKNOWN_PLACE[1]}
    return replace(picture, **verdict)


def _is_unchanged(recorded: PictureFingerprint, found: PictureFingerprint) -> bool:
    """Whether a run that looks now would find what was recorded. Faults of the place are found again unopened; other
    faults than the content's have no place."""
    if found.reason is not None:
        return found == recorded
    place = (found.size_bytes, found.modified_ns)
    return recorded.modified_ns >= 0 and place == (recorded.size_bytes, recorded.modified_ns)


def _chunks(elements: Iterable[ElementT], size: int) -> Iterator[list[ElementT]]:
    iterator = iter(elements)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
