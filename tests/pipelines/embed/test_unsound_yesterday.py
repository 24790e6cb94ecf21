"""Of an earlier run that is damaged or made otherwise, only what is sound is taken over."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from embed_runs import NUM_BUCKETS, changed_shop, embedded, files_of, shop_of, write_features
from exploration import representatives

from pipelines.embed import job as embed
from pipelines.embed import parts as embed_parts
from pipelines.run.unit_files import sidecar_path
from schemas.files import read_sealed_json, sha256_of_file, write_sealed_json

pytestmark = [pytest.mark.usefixtures("small_parts"), pytest.mark.slow]


@pytest.mark.parametrize(
    ("damage", "reused", "yesterday", "said"),
    representatives(
        [
            ("none", 36, 40, None),
            ("no fingerprints there", 0, 40, "no fingerprints/ in"),
            ("no fingerprints here", 0, 40, "no fingerprints/ in"),
            ("a fingerprint file missing", None, 40, None),
            ("a fingerprint file damaged", None, 40, "expected fingerprints of features"),
            ("no manifest", 0, 0, "all items count as new: expected the finished stage"),
            ("poisoned manifest", 0, 0, "all items count as new"),
            ("features made again", 0, 40, "from other features than it holds"),
            ("no features manifest", 0, 40, "from other features than it holds"),
            ("other code", 0, 40, "made by other code"),
            ("other model", 0, 40, "its model is"),
            ("other buckets", 0, 40, "it has 4 buckets, this run 3"),
            ("embeddings outside", None, None, "expected a file inside"),
            (
                "embeddings flipped",
                None,
                None,
                "its items count as new, for an earlier file is damaged: expected sha256",
            ),
            (
                "embeddings missing",
                None,
                None,
                "its items count as new, for an earlier file is damaged: expected the file",
            ),
            ("embeddings of nonsense", None, None, "expected finite vectors of norm 1"),
            ("all embeddings missing", 0, 0, "is damaged"),
        ],
        *(0, 1, 4, 5, 7, 9, 10, 13, 16),
    ),
)
def test_only_what_is_sound_is_reused(models, tmp_path, capsys, monkeypatch, damage, reused, yesterday, said):
    first = write_features(tmp_path / "first", shop_of(40), fingerprints=damage != "no fingerprints there")
    if damage == "other code":
        monkeypatch.setattr(embed_parts, "CODE_VERSION", 0)
    embedded(first, models[damage == "other model"])
    monkeypatch.setattr(embed_parts, "CODE_VERSION", embed.CODE_VERSION)
    num_lost = damaged(first, damage)
    num_buckets = 3 if damage == "other buckets" else NUM_BUCKETS
    second = write_features(
        tmp_path / "second", changed_shop(), fingerprints=damage != "no fingerprints here", num_buckets=num_buckets
    )
    capsys.readouterr()
    counts = embedded(second, models[0], first)
    err = capsys.readouterr().err
    assert (said or "") in err
    assert len(err.splitlines()) == (said is not None) * (2 if damage == "all embeddings missing" else 1)
    scratch = write_features(tmp_path / "scratch", changed_shop(), num_buckets=num_buckets)
    embedded(scratch, models[0])
    assert files_of(second) == files_of(scratch)
    assert counts["yesterday"] == (40 - num_lost if yesterday is None else yesterday)
    if reused is None:
        assert 0 < counts["reused"] < 36
    else:
        assert counts["reused"] == reused


def damaged(run: Path, how: str) -> int:
    """Damages a finished run; how many rows the files held that can no longer be trusted."""
    part = sorted((run / "embeddings").iterdir())[0]
    num_rows = pq.read_metadata(part).num_rows
    manifest = run / "manifests" / "embeddings.json"
    listed = read_sealed_json(manifest)
    if how == "a fingerprint file missing":
        sorted((run / "fingerprints").iterdir())[0].unlink()
    elif how == "a fingerprint file damaged":
        sorted((run / "fingerprints").iterdir())[0].write_bytes(b"PAR1 nothing PAR1")
    elif how == "no manifest":
        manifest.unlink()
    elif how == "poisoned manifest":
        manifest.write_text('{"files": 7, "model_id": [], "units": null}')
    elif how == "features made again":
        write_features(run, shop_of(40, seed=9))
    elif how == "no features manifest":
        (run / "manifests" / "features.json").unlink()
    elif how == "embeddings outside":
        outside = run.parent / "outside.parquet"
        part.rename(outside)
        part.symlink_to(outside)
        return num_rows
    elif how == "embeddings flipped":
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1
        part.write_bytes(content)
        return num_rows
    elif how == "embeddings missing":
        part.unlink()
        return num_rows
    elif how == "all embeddings missing":
        shutil.rmtree(run / "embeddings")
    elif how == "embeddings of nonsense":
        pq.write_table(nonsense(pq.read_table(part)), part)
        listed["files"][0].update(sha256=sha256_of_file(part), bytes=part.stat().st_size)
        write_sealed_json(manifest, listed)
        return num_rows
    return 0


def nonsense(table: pa.Table) -> pa.Table:
    column = table["embedding"].combine_chunks()
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(256 * len(table), np.float32)), type=column.type)
    return table.set_column(1, table.schema.field("embedding"), zeros)


def test_a_copied_part_that_is_damaged_is_computed(models, tmp_path, capsys):
    first = write_features(tmp_path / "first", shop_of(40))
    embedded(first, models[0])
    expected = files_of(first)
    damaged(first, "embeddings flipped")
    second = write_features(tmp_path / "second", shop_of(40))
    counts = embedded(second, models[0], first)
    assert files_of(second) == expected
    assert counts["computed"] == counts["new"] > 0
    assert counts["reused"] > 0
    assert "is computed, not taken over: expected sha256" in capsys.readouterr().err


@pytest.mark.parametrize("counts", [None, [], {}, {"rows_written": 3}])
def test_a_sidecar_without_counts_is_no_source(models, tmp_path, counts):
    first = write_features(tmp_path / "first", shop_of(20))
    embedded(first, models[0])
    for path in sidecar_path(str(first), "embeddings", "x").parent.glob("*.json"):
        write_sealed_json(path, {**read_sealed_json(path), "counts": counts})
    second = write_features(tmp_path / "second", shop_of(20))
    assert embedded(second, models[0], first)["reused"] == 20
    assert files_of(second) == files_of(first)
