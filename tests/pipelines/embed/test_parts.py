"""Which features files make which part, and what became of the rows: the pure parts of the embed stage."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.embed.compute import count_rows, counts_of_copy
from pipelines.embed.job import plan_parts
from pipelines.embed.parts import bucket_of_file
from schemas.errors import CorruptFileError

IDS = st.sets(st.text("abcdef", min_size=1, max_size=2))


def features(*rows: int) -> dict:
    names = [f"bucket-{number:05d}-of-{len(rows):05d}" for number in range(len(rows))]
    other = [{"path": f"fingerprints/{name}.parquet", "sha256": "other"} for name in names]
    return {
        "files": [*other, *({"path": f"features/{name}.tfrecord", "sha256": name} for name in names)],
        "units": {name: {"counts": {"items_written": count}} for name, count in zip(names, rows, strict=True)},
    }


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((5, 5), [2]),
        ((0,), [1]),
        ((10, 10, 10), [1, 1, 1]),
        ((6, 6, 6), [3]),  # the last group would hold 6 of at least 10: it joins the one before
        ((6, 6, 6, 6, 1), [2, 3]),
        ((100, 1, 1), [3]),
    ],
)
def test_parts_are_groups_of_neighbouring_buckets_with_enough_rows(rows, expected):
    parts = plan_parts(features(*rows), "model", rows_a_file=10)
    assert [len(part.files) for part in parts] == expected
    assert [bucket_of_file(path) for part in parts for path in part.files] == [(n, len(rows)) for n in range(len(rows))]
    assert frozenset.union(*(part.buckets for part in parts)) == {(n, len(rows)) for n in range(len(rows))}
    assert [part.name for part in parts] == [f"part-{n:05d}-of-{len(expected):05d}" for n in range(len(expected))]


def test_a_part_depends_on_its_files_and_the_model():
    first, second = plan_parts(features(10, 10), "model", rows_a_file=10)
    other, _ = plan_parts(features(10, 10), "other", rows_a_file=10)
    assert len({first.fingerprint, second.fingerprint, other.fingerprint}) == 3
    assert Path(first.files[0]).parent.name == "features"


@pytest.mark.parametrize("path", ["features/x.tfrecord", "features/bucket-1.tfrecord", "features/bucket--1-of-2", ""])
def test_a_file_without_a_bucket_is_refused(path):
    with pytest.raises(CorruptFileError, match="expected a file name like"):
        bucket_of_file(path)


@given(yesterday=IDS, today=IDS, data=st.data())
def test_counts_of_rows_add_up(yesterday, today, data):
    reused = data.draw(st.sets(st.sampled_from(sorted(yesterday & today)))) if yesterday & today else set()
    computed = today - reused
    counts = {name.removeprefix("rows_"): count for name, count in count_rows(yesterday, reused, computed).items()}
    assert counts["written"] == counts["reused"] + counts["computed"] == len(today)
    assert counts["computed"] == counts["changed"] + counts["new"]
    assert counts["yesterday"] == counts["reused"] + counts["changed"] + counts["gone"] == len(yesterday)
    assert counts["gone"] == len(yesterday - today)
    assert counts["new"] == len(today - yesterday)
    assert min(counts.values()) >= 0


@given(yesterday=IDS, computed=IDS, quarantined=st.integers(0, 3))
def test_a_copied_part_reuses_every_row(yesterday, computed, quarantined):
    earlier = {**count_rows(yesterday, (), computed), "rows_read": len(computed) + quarantined}
    if quarantined:
        earlier.update({"rows_quarantined": quarantined, "reason:not_finite": quarantined})
    counts = counts_of_copy(earlier)
    expected = count_rows(computed, computed, ())
    assert {name: counts[name] for name in expected} == expected
    assert counts["rows_read"] == counts["rows_written"] + counts["rows_quarantined"]
    assert counts.get("reason:not_finite", 0) == quarantined
    assert counts_of_copy(counts) == counts
