"""Checks of a run's rows, bucket by bucket: items, their feature records, their fingerprints; and the quarantine."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.log.rows import LOG_STAGE
from pipelines.operations.findings import Finding
from pipelines.operations.inspected_run import InspectedRun
from pipelines.run.units import bucket_name
from pipelines.store.models import ITEM_MODELS
from schemas.files import read_json
from schemas.hashing import bucket_of, content_hash
from schemas.quarantine import quote
from schemas.records.tfrecords import SHA256_BYTES, ItemFeatures, decode_features, read_records
from schemas.records.user_rows import USERS_STAGE
from schemas.tables import FINGERPRINTS, ITEMS, MAX_PICTURES, QUARANTINE

#: Of a text vector: what rounding to float16 makes of norm 1, and more.
_MAX_NORM_ERROR = 1e-2


@dataclass(frozen=True)
class _Record:
    """What fingerprints are compared with."""

    payload_hash: bytes
    digests: tuple[bytes, ...]


@dataclass
class _Bucket:
    """One bucket: its items in file order (id -> number of pictures) and its records."""

    name: str
    number: int
    num_buckets: int
    items: dict[str, int] = field(default_factory=dict)
    records: dict[str, _Record] = field(default_factory=dict)


def check_buckets(run: InspectedRun) -> tuple[list[Finding], list[str]]:
    """(findings on items, features and fingerprints, ids of all feature records)."""
    findings = [Finding(name) for name in ("items", "features", "fingerprints")]
    items, features, fingerprints = findings
    ids: list[str] = []
    rows = Counter[str]()
    with items.guard("manifests/items.json"):
        num_buckets = int(run.stages["items"]["num_buckets"])
        vocabulary_size = _vocabulary_size(run, features)
        for number in range(num_buckets):
            bucket = _Bucket(bucket_name(number, num_buckets), number, num_buckets)
            with items.guard(f"items/{bucket.name}.parquet"):
                _check_items(run, bucket, items)
            with features.guard(f"features/{bucket.name}.tfrecord"):
                _check_features(run, bucket, vocabulary_size, features)
            with fingerprints.guard(f"fingerprints/{bucket.name}.parquet"):
                rows["fingerprints"] += _check_fingerprints(run, bucket, fingerprints)
            ids += bucket.records
            rows.update(items=len(bucket.items), features=len(bucket.records))
        for finding in findings:
            finding.looked_at = f"{rows[finding.check]:,} rows in {num_buckets:,} buckets"
    return findings, ids


def problems_of_ids(ids: Sequence[str], number: int, num_buckets: int, where: str) -> list[str]:
    """What is wrong with the ids of a bucket's file: they are unique, ascending, and of this bucket."""
    problems = []
    for row in range(1, len(ids)):
        if not ids[row - 1] < ids[row]:
            got = f"{quote(ids[row])} after {quote(ids[row - 1])} in row {row}"
            problems.append(f"expected unique ascending ids, got {got} of {where}: run the stage again")
            break
    strangers = [name for name in ids if bucket_of(name, num_buckets) != number]
    if strangers:
        got = f"{quote(strangers[0])} of bucket {bucket_of(strangers[0], num_buckets)} and {len(strangers) - 1} others"
        problems.append(f"expected ids of bucket {number}, got {got} in {where}: run ingest again")
    return problems


def _check_items(run: InspectedRun, bucket: _Bucket, finding: Finding) -> None:
    path = f"items/{bucket.name}.parquet"
    if run.damaged([path], finding):
        return
    table = pq.read_table(run.run / path)
    if not table.schema.equals(ITEMS):
        finding.fail(f"expected the columns {ITEMS.names} and their types, got {table.schema} in {path}")
        return
    ids = table["item_id"].to_pylist()
    finding.problems += problems_of_ids(ids, bucket.number, bucket.num_buckets, path)
    pictures = [len(uris or ()) for uris in table["images"].to_pylist()]
    if max(pictures, default=0) > MAX_PICTURES:
        finding.fail(f"expected at most {MAX_PICTURES} pictures an item, got {max(pictures)} in {path}")
    counts = run.stages["items"]["units"][bucket.name]["counts"]
    finding.expect(f"rows of {path}", counts["rows_written"], len(ids), "run ingest again")
    finding.expect(f"pictures of {path}", counts["pictures_listed"], sum(pictures), "run ingest again")
    bucket.items = dict(zip(ids, pictures, strict=True))


def _check_features(run: InspectedRun, bucket: _Bucket, vocabulary_size: int | None, finding: Finding) -> None:
    path = f"features/{bucket.name}.tfrecord"
    if run.damaged([path], finding):
        return
    dim, text_dim = run.stages["features"]["picture_dim"], run.stages["features"].get("text_dim", 0)
    ids, num_pictures = [], 0
    for payload in read_records(run.run / path):
        record = decode_features(payload)
        ids.append(record.item_id)
        num_pictures += len(record.pictures)
        bucket.records[record.item_id] = _Record(content_hash(payload), record.picture_sha256)
        for problem in problems_of_record(record, dim, vocabulary_size, text_dim):
            finding.fail(f"{problem} of item {quote(record.item_id)} in {path}: run the features stage again")
    finding.problems += problems_of_ids(ids, bucket.number, bucket.num_buckets, path)
    if bucket.items and (strangers := [name for name in ids if name not in bucket.items]):
        finding.fail(f"expected records of items/, got {len(strangers)} others ({quote(strangers[0])}) in {path}")
    counts = run.stages["features"]["units"][bucket.name]["counts"]
    finding.expect(f"records of {path}", counts["items_written"], len(ids), "run the features stage again")
    usable = counts["pictures_computed"] + counts["pictures_reused"]
    finding.expect(f"picture vectors of {path}", usable, num_pictures, "run the features stage again")


def problems_of_record(
    record: ItemFeatures, picture_dim: int, vocabulary_size: int | None, text_dim: int = 0
) -> list[str]:
    """What is wrong with one record; vocabulary_size None: not known. text_dim 0: made without a text encoder."""
    problems = []
    offsets = record.token_offsets
    if offsets[0] != 0 or offsets[-1] != len(record.token_ids) or (np.diff(offsets) < 0).any():
        problems.append(f"expected offsets from 0 to {len(record.token_ids)}, got {offsets.tolist()}")
    largest = int(record.token_ids.max(initial=0))
    if record.token_ids.min(initial=1) < 1 or (vocabulary_size is not None and largest >= vocabulary_size):
        got = f"{record.token_ids.min(initial=1)} to {largest}"
        problems.append(f"expected token ids from 1 to below {vocabulary_size}, got {got}")
    if record.pictures.shape[1] != picture_dim and len(record.pictures):
        problems.append(f"expected pictures of {picture_dim} numbers, got {record.pictures.shape[1]}")
    if not np.isfinite(record.pictures).all():
        problems.append("expected finite picture vectors, got others")
    if len(record.pictures) != len(record.picture_sha256) or any(len(d) != SHA256_BYTES for d in record.picture_sha256):
        problems.append(f"expected {len(record.pictures)} digests of pictures, got {len(record.picture_sha256)}")
    if len(record.text_vector):
        norm = float(np.linalg.norm(record.text_vector.astype(np.float32)))
        if len(record.text_vector) != text_dim or not abs(norm - 1) < _MAX_NORM_ERROR:
            got = f"{len(record.text_vector)} of norm {norm:.4f}"
            problems.append(f"expected a text vector of {text_dim} numbers and norm 1, got {got}")
    if not len(record.token_ids) and not len(record.pictures):
        problems.append("expected a token or a picture, got neither")
    return problems


def _check_fingerprints(run: InspectedRun, bucket: _Bucket, finding: Finding) -> int:
    path = f"fingerprints/{bucket.name}.parquet"
    if run.damaged([path, f"items/{bucket.name}.parquet", f"features/{bucket.name}.tfrecord"], finding):
        return 0  # each row would say that it fits nothing
    table = pq.read_table(run.run / path)
    if not table.schema.equals(FINGERPRINTS):
        finding.fail(f"expected the columns {FINGERPRINTS.names} and their types, got {table.schema} in {path}")
        return 0
    rows = table.to_pylist()
    if [row["item_id"] for row in rows] != list(bucket.items):
        finding.fail(f"expected the ids of items/{bucket.name}.parquet in order, got others in {path}")
    for row in rows:
        record = bucket.records.get(row["item_id"])
        good = tuple(picture["sha256"] for picture in row["pictures"] if picture["reason"] is None)
        if (row["features_hash"], good) != ((record.payload_hash, record.digests) if record else (None, good)):
            got = f"another for item {quote(row['item_id'])}"
            finding.fail(f"expected hash and pictures of the feature record, got {got} in {path}")
        if len(row["pictures"]) != bucket.items.get(row["item_id"]):
            expected = f"{bucket.items.get(row['item_id'])} pictures of item {quote(row['item_id'])}"
            finding.fail(f"expected {expected}, got {len(row['pictures'])} in {path}")
    return len(rows)


def _vocabulary_size(run: InspectedRun, finding: Finding) -> int | None:
    with finding.guard("the model's vocabulary"):
        folder = ITEM_MODELS.folder(str(run.store), str(run.model_id))
        return int(read_json(Path(folder, "vocabulary", "vocabulary.json"))["size"])
    return None


def check_quarantine(run: InspectedRun) -> Finding:
    """Schema, run id and counts of every quarantine file against the unit that wrote it. The bad rows of a log are in
    the quarantine of its own stage: users counts as many, slice by slice."""
    finding = Finding("quarantine")
    total = 0
    for stage, manifest in sorted(run.stages.items()):
        for unit, facts in sorted(manifest.get("units", {}).items()):
            path = f"quarantine/{stage}-{unit}.parquet"
            with finding.guard(quote(path)):
                if stage == USERS_STAGE:
                    _check_rejected_of_log(run, unit, facts["counts"], finding)
                    continue
                if path in run.entries and run.damaged([path], finding):
                    continue
                rejections = _rejections(run, path, finding) if path in run.entries else []
                total += len(rejections)
                _check_counts(rejections, facts["counts"], path, finding)
    finding.looked_at = f"{total:,} rows in {len(run.listed('quarantine')):,} files"
    return finding


def _check_rejected_of_log(run: InspectedRun, unit: str, counts: dict[str, int], finding: Finding) -> None:
    judged = run.stages.get(LOG_STAGE, {}).get("units", {}).get(unit, {"counts": {}})["counts"]
    what = f"rows_quarantined in units/{USERS_STAGE}/{unit}.json as in units/{LOG_STAGE}/{unit}.json,"
    expected, got = judged.get("rows_quarantined", 0), counts.get("rows_quarantined", 0)
    finding.expect(what, expected, got, "run users again")


def _rejections(run: InspectedRun, path: str, finding: Finding) -> list[dict[str, Any]]:
    table: pa.Table = pq.read_table(run.run / path)
    if not table.schema.equals(QUARANTINE):
        finding.fail(f"expected the columns {QUARANTINE.names} and their types, got {table.schema} in {path}")
        return []
    rows: list[dict[str, Any]] = table.to_pylist()
    if strangers := {row["run"] for row in rows} - {run.run.name}:
        finding.fail(f"expected run {run.run.name}, got {', '.join(map(quote, sorted(strangers)))} in {path}")
    return rows


def _check_counts(rows: list[dict[str, Any]], counts: dict[str, int], path: str, finding: Finding) -> None:
    found = Counter(f"{row['level']}s_quarantined" for row in rows) + Counter(f"reason:{row['reason']}" for row in rows)
    names = ("rows_quarantined", "cells_quarantined", "pictures_quarantined")
    listed = {name: n for name, n in counts.items() if (name in names or name.startswith("reason:")) and n}
    if dict(found) != listed:
        finding.fail(f"expected {listed} as its unit counted, got {dict(found)} in {path}: run the stage again")
