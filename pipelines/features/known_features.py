"""What is known of a bucket before it is computed: by an earlier run, and by this run itself."""

import numpy as np

from model.pictures.faults import PictureError
from pipelines.features.earlier import EarlierBucket
from schemas.records.fingerprints import PictureFingerprint


class KnownFeatures:
    """An earlier run's bucket and, behind it, this run's own, from before its pictures changed."""

    def __init__(self, earlier: EarlierBucket, own: EarlierBucket):
        self.earlier, self.own = earlier, own

    def close(self) -> None:
        """Ends the reading of records."""
        self.earlier.close()
        self.own.close()

    def picture_at(self, uri: str, size_bytes: int, modified_ns: int) -> PictureFingerprint | None:
        """A picture whose file is as it was, if what became of it is known."""
        place = uri, size_bytes, modified_ns
        return self.earlier.picture_at(*place) or self.own.picture_at(*place)

    def is_reused(self, digest: bytes) -> bool:
        """Whether the vector of a content is the earlier run's; this run's own ones are computed, whenever it was."""
        return digest in self.earlier.vectors

    def has_vector(self, digest: bytes) -> bool:
        """Whether `vector` knows the content."""
        return digest in self.earlier.vectors or digest in self.own.vectors

    def vector(self, digest: bytes) -> np.ndarray:
        """float16 [picture_dim] of a content that has_vector."""
        return (self.earlier if digest in self.earlier.vectors else self.own).vector(digest)

    def rejection(self, digest: bytes) -> PictureError | None:
        """Why a content is rejected, if that is known."""
        return self.earlier.rejected.get(digest) or self.own.rejected.get(digest)

    def record(self, item_id: str, text_hash: bytes, digests: tuple[bytes, ...]) -> tuple[bytes | None, bool]:
        """The serialised record of an item with this text and these usable pictures, if it is known, and whether it is
        the earlier run's."""
        payload = self.earlier.record(item_id, text_hash, digests)
        if payload is not None:
            return payload, True
        return self.own.record(item_id, text_hash, digests), False

    def has_text_vector(self, item_id: str, text_hash: bytes) -> bool:
        """Whether `text_vector` knows that of an item with this text."""
        return self.earlier.has_text_vector(item_id, text_hash) or self.own.has_text_vector(item_id, text_hash)

    def is_text_reused(self, item_id: str, text_hash: bytes) -> bool:
        """Whether the vector of that text is the earlier run's; this run's own ones are computed, whenever it was."""
        return self.earlier.has_text_vector(item_id, text_hash)

    def text_vector(self, item_id: str, text_hash: bytes) -> np.ndarray:
        """That of an item that has_text_vector, as in ItemFeatures."""
        return (self.earlier if self.is_text_reused(item_id, text_hash) else self.own).text_vector(item_id)

    def tokens(self, item_id: str, text_hash: bytes) -> tuple[np.ndarray, np.ndarray] | None:
        """(token_ids, token_offsets) of an item with this text, as in ItemFeatures, if they are known."""
        return self.earlier.tokens(item_id, text_hash) or self.own.tokens(item_id, text_hash)
