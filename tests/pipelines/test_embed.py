from pathlib import Path

import pytest

from pipelines.embed import plan_parts


def features(*rows: int) -> dict:
    names = [f"bucket-{number:05d}-of-{len(rows):05d}" for number in range(len(rows))]
    return {
        "files": [{"path": f"features/{name}.tfrecord", "sha256": name} for name in names],
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
    assert [path for part in parts for path in part.files] == sorted(
        entry["path"] for entry in features(*rows)["files"]
    )
    assert [part.name for part in parts] == [f"part-{n:05d}-of-{len(expected):05d}" for n in range(len(expected))]


def test_a_part_depends_on_its_files_and_the_model():
    first, second = plan_parts(features(10, 10), "model", rows_a_file=10)
    other, _ = plan_parts(features(10, 10), "other", rows_a_file=10)
    assert len({first.fingerprint, second.fingerprint, other.fingerprint}) == 3
    assert Path(first.files[0]).parent.name == "features"
