"""Vectors of a run's catalogue pictures by the content of the picture, without reading the whole catalogue."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.run.units import read_stage_manifest
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.fingerprints import FINGERPRINTS_FOLDER
from schemas.records import decode_features, read_records


def catalogue_vectors(run: Path, encoder_id: str, wanted: set[bytes]) -> dict[bytes, np.ndarray]:
    """sha256 -> float16 [picture_dim] of those of the wanted pictures that the run's features have a vector of, made by
    this very encoder. Only the buckets whose fingerprints list one are read; without fingerprints none is."""
    found: dict[bytes, np.ndarray] = {}
    try:
        if read_stage_manifest(str(run), "features")["encoder_id"] != encoder_id:
            return {}
        for path in storage.paths_in(run / FINGERPRINTS_FOLDER, "*.parquet"):
            here = _listed_in(path, wanted - found.keys())
            if not here:
                continue
            for payload in read_records(run / "features" / f"{path.stem}.tfrecord"):
                item = decode_features(payload)
                found |= {
                    digest: vector_D.copy()
                    for digest, vector_D in zip(item.picture_sha256, item.pictures, strict=True)
                    if digest in here
                }
    except (CorruptFileError, pa.ArrowException, OSError, KeyError, ValueError) as error:
        print(f"evaluate: catalogue pictures give no more vectors of query pictures: {error}", file=sys.stderr)
    return found


def _listed_in(fingerprints: Path, wanted: set[bytes]) -> set[bytes]:
    pictures = pq.read_table(fingerprints, columns=["pictures"])["pictures"]
    digests = pc.struct_field(pc.list_flatten(pictures), "sha256").unique().to_pylist()
    return wanted.intersection(digests)
