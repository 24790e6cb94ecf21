"""One group of feature files to one file of unit vectors: what has not changed since an earlier run is copied, file by
file or row by row, the rest is computed, and what the model cannot embed goes to the quarantine."""

import functools
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from model.items.inference import (
    BAD_FEATURES,
    MODEL_FAILED,
    NOT_FINITE,
    NOT_UNIT_NORM,
    OUT_OF_MEMORY,
    EmbeddedBatch,
    Encoder,
    ItemFailure,
    embed_batches,
)
from pipelines.console.progress import Progress
from pipelines.embed.earlier import NOTHING, EarlierRun, EarlierVectors, read_features_hashes
from pipelines.embed.parts import IN_HALVED_BATCHES, STAGE, Part
from pipelines.run.opened_models import open_item_encoder
from pipelines.run.process_units import UnitStage
from pipelines.run.units import Unit, UnitWriter, finished_sidecar
from schemas.errors import CorruptFileError
from schemas.hashing import content_hash
from schemas.quarantine import Rejection, quote
from schemas.records.embeddings import embeddings_metadata, write_embeddings_file
from schemas.records.tfrecords import ItemFeatures, decode_features, read_records

_REMEDIES = {
    BAD_FEATURES: "run the features stage again; if it stays, the features were made for another model",
    MODEL_FAILED: "look at the item's row and pictures; if they are sound, train the model again",
    NOT_FINITE: "look at the item's pictures: their vectors or the model's weights overflow",
    NOT_UNIT_NORM: "give the item a title or a picture that the model knows, or train the model again",
    OUT_OF_MEMORY: "run on a machine with more memory, or shorten the item's text",
}


def count_rows(yesterday: Collection[str], reused: Collection[str], computed: Collection[str]) -> dict[str, int]:
    """The counts of items by what became of them. `yesterday`: ids with a vector in the earlier run; `reused` (of
    those) and `computed`: disjoint ids with a vector today.

    written = reused + computed; computed = changed + new; yesterday = reused + changed + gone.

    >>> count_rows({"a", "b", "c"}, ["a"], ["b", "d"])  # doctest: +NORMALIZE_WHITESPACE
    {'rows_reused': 1, 'rows_changed': 1, 'rows_new': 1, 'rows_computed': 2, 'rows_gone': 1, 'rows_yesterday': 3,
     'rows_written': 3}
    """
    before = frozenset(yesterday)
    num_changed = len(before.intersection(computed))
    return {
        "rows_reused": len(reused),
        "rows_changed": num_changed,
        "rows_new": len(computed) - num_changed,
        "rows_computed": len(computed),
        "rows_gone": len(before) - len(reused) - num_changed,
        "rows_yesterday": len(before),
        "rows_written": len(reused) + len(computed),
    }


def counts_of_copy(earlier: Mapping[str, int]) -> dict[str, int]:
    """Today's counts of a part that was copied whole: all its vectors are reused, all that was rejected is so again."""
    written = earlier["rows_written"]
    counts = dict.fromkeys(("rows_changed", "rows_new", "rows_computed", "rows_gone"), 0)
    counts.update(rows_read=earlier["rows_read"], rows_reused=written, rows_yesterday=written, rows_written=written)
    kept = {name: count for name, count in earlier.items() if name.startswith("reason:")}
    return {**counts, **kept, "rows_quarantined": earlier.get("rows_quarantined", 0)}


class EmbedStage(UnitStage):
    """Reads feature files, takes vectors over, embeds the rest, sorts by id, writes one embeddings file."""

    stage = STAGE
    progress_unit = "items"

    def __init__(
        self,
        run: str,
        model: str,
        parts: Sequence[Part],
        model_id: str,
        output_dim: int,
        picture_dim: int,
        text_dim: int,
        earlier: EarlierRun | None,
        total: int,
    ):
        self.run, self.model, self.model_id, self.total = run, model, model_id, total
        self.output_dim, self.picture_dim, self.text_dim = output_dim, picture_dim, text_dim
        self.parts = {part.name: part for part in parts}
        self.earlier = earlier

    @functools.cached_property
    def encoder(self) -> Encoder:
        """Loaded by the first item that must be computed: a day without one loads no model."""
        return open_item_encoder(self.model, self.model_id)

    def take_over(self, unit: Unit, writer: UnitWriter) -> bool:
        if self.earlier is None or not self.earlier.has_part(self.parts[unit.name]):
            return False
        sidecar = finished_sidecar(self.earlier.run, unit)
        if sidecar is None or not {"rows_read", "rows_written"} <= sidecar.counts.keys():
            return False
        if sidecar.counts.get(f"reason:{OUT_OF_MEMORY}") or sidecar.counts.get(IN_HALVED_BATCHES):
            return False  # there may be more memory today
        counts = writer.take_over(self.earlier.run)
        if counts is None:
            return False
        writer.counts.update(counts_of_copy(counts))
        return True

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        part = self.parts[unit.name]
        rows = _PartRows(self, part, progress)
        computed: list[str] = []
        blocks: list[np.ndarray] = []
        for batch in rows.embedded():
            computed += batch.item_ids
            blocks.append(batch.vectors_BD)
        ids = [*rows.reused, *computed]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        matrix_ND = _merged(order, self.output_dim, rows.vectors.matrix_ND, rows.reused_rows, blocks)
        with writer.file(part.path) as temporary:
            metadata = embeddings_metadata(self.model_id, matrix_ND.shape[1])
            write_embeddings_file(temporary, [ids[i] for i in order], matrix_ND, metadata)
        writer.counts.update(rows_read=rows.num_read, rows_quarantined=0)
        if rows.num_halved:
            writer.counts[IN_HALVED_BATCHES] = rows.num_halved
        writer.counts.update(count_rows(rows.vectors.ids, rows.reused, computed))
        writer.quarantine(rows.rejections)


class _PartRows:
    """One pass over the feature records of one part: fills `reused` and `rejections`, yields what is computed."""

    def __init__(self, stage: EmbedStage, part: Part, progress: Progress):
        self.stage, self.part, self.progress = stage, part, progress
        self.vectors: EarlierVectors = stage.earlier.load(part) if stage.earlier is not None else NOTHING
        self.reused: list[str] = []
        self.reused_rows: list[int] = []
        self.rejections: list[Rejection] = []
        self.num_read = self.num_halved = 0
        self.file_of: dict[str, str] = {}

    def embedded(self) -> Iterator[EmbeddedBatch]:
        """The vectors that had to be computed."""
        items = self._to_embed()
        first = next(items, None)
        if first is None:
            return
        encoder = self.stage.encoder
        chained = itertools.chain([first], items)
        for batch in embed_batches(encoder, chained, self.stage.picture_dim, text_dim=self.stage.text_dim):
            for failure in batch.failures:
                self._reject(failure.item_id, failure, self.file_of[failure.item_id])
            self.num_halved += len(batch.item_ids) if batch.is_halved else 0
            self.progress.advance(len(batch.item_ids) + len(batch.failures))
            yield batch

    def _to_embed(self) -> Iterator[ItemFeatures]:
        for path in self.part.files:
            for number, (payload, reused) in enumerate(self._records(path)):
                self.num_read += 1
                if reused is not None:
                    self.reused.append(reused)
                    self.reused_rows.append(self.vectors.row_of[reused])
                    self.progress.advance()
                    continue
                try:
                    item = decode_features(payload)
                except ValueError as error:  # its CRC is right: it was written like that
                    failure = ItemFailure("", BAD_FEATURES, "a features record", quote(str(error)))
                    self._reject(self._name_of(path, number), failure, f"{path} record {number}")
                    continue
                self.file_of[item.item_id] = path
                yield item

    def _records(self, path: str) -> Iterator[tuple[bytes, str | None]]:
        """Every record of a features file, and its item's id if the earlier vector holds (then it is not parsed)."""
        source, bucket = Path(self.stage.run, path), Path(path).stem
        then = self.stage.earlier.hashes(bucket) if self.stage.earlier is not None and self.vectors.row_of else {}
        now = read_features_hashes(self.stage.run, bucket) if then else None
        if now is None:
            yield from ((payload, None) for payload in read_records(source))
            return
        for payload, row in itertools.zip_longest(read_records(source), now):
            if payload is None or row is None or content_hash(payload) != row[1]:
                raise CorruptFileError(
                    f"expected the records that fingerprints/{bucket}.parquet lists, got others in {source}: run the "
                    "features stage again"
                )
            item_id, digest = row
            yield payload, item_id if then.get(item_id) == digest and item_id in self.vectors.row_of else None

    def _name_of(self, path: str, number: int) -> str | None:
        """The item whose record cannot be read, if the fingerprints tell."""
        rows = read_features_hashes(self.stage.run, Path(path).stem) or []
        return rows[number][0] if number < len(rows) else None

    def _reject(self, item_id: str | None, failure: ItemFailure, where: str) -> None:
        self.rejections.append(
            Rejection(
                level="row",
                stage=STAGE,
                item_id=item_id,
                reason=failure.reason,
                expected=failure.expected,
                got=failure.got,
                where=where,
                remedy=_REMEDIES[failure.reason],
            )
        )


def _merged(
    order: Sequence[int], dim: int, earlier_ND: np.ndarray, reused_rows: Sequence[int], blocks: Sequence[np.ndarray]
) -> np.ndarray:
    """float32 [N, dim]: row k is vector order[k] of (the reused rows of the earlier matrix, then the blocks)."""
    filled = [block for block in blocks if len(block)]
    matrix_ND = np.empty((len(order), dim), np.float32)
    position_of = np.empty(len(order), np.int64)
    position_of[order] = np.arange(len(order))
    start = len(reused_rows)
    if start:
        matrix_ND[position_of[:start]] = earlier_ND[reused_rows]
    for block in filled:
        matrix_ND[position_of[start : start + len(block)]] = block
        start += len(block)
    return matrix_ND
