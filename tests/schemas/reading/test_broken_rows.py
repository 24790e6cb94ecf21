"""Lines that cannot be parsed are rejected with their place, and files that end too early are told."""

import gzip
import json
from pathlib import Path

import pytest

from schemas.errors import CorruptFileError
from schemas.reading.rows import plan_slices, read_slice
from schemas.validation.catalogue import validate_catalogue


def test_broken_lines_are_rejected_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(b'{"item_id": "a"}\n{"item\n' + json.dumps({"item_id": "\ud800"}).encode())
    (part,) = plan_slices([str(tmp_path / "c.jsonl")])
    (raw,) = read_slice(part, {})
    good, rejections, counts = validate_catalogue(raw, part)
    assert good["item_id"].to_pylist() == ["a"]
    assert [(entry.reason, entry.where) for entry in rejections] == [
        ("broken_line", "c.jsonl:2"),
        ("bad_utf8", "c.jsonl:3"),
    ]
    assert counts["rows_read"] == 3


WHOLE = {"item_id": "b", "title": "a mug, blue", "description": "it is round"}
HEADER = "item_id,title,description\na,t,d\n"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("c.csv", HEADER + 'b,"a mug, blue",it is', None),  # whole, for all that can be seen
        ("c.csv", HEADER + 'b,"a mug, blue"', "cut_off_file"),
        ("c.csv", HEADER + "b", "cut_off_file"),
        ("c.csv", HEADER + 'b,"a mug, bl', "cut_off_file"),
        ("c.csv", HEADER + 'b,"a mug, blue","it is\nround', "cut_off_file"),
        ("c.csv", HEADER + "b\n", "broken_line"),
        ("c.csv", HEADER + "b,t,d,e", "broken_line"),
        ("c.csv", HEADER + 'b,"t" x,d', "broken_line"),
        ("c.tsv", HEADER.replace(",", "\t") + "b\ta mug", "cut_off_file"),
        ("c.tsv", HEADER.replace(",", "\t").replace("\n", "\r\n") + "b\ta mug", "cut_off_file"),
        ("c.jsonl", '{"item_id": "a"}\n' + json.dumps(WHOLE), None),
        ("c.jsonl", '{"item_id": "a"}\n' + json.dumps(WHOLE)[:-1], "cut_off_file"),
        ("c.jsonl", '{"item_id": "a"}\n' + json.dumps(WHOLE)[:30], "cut_off_file"),
        ("c.jsonl", '{"item_id": "a"}\n{"item_id": "b", "images": [{"a": 1}', "cut_off_file"),
        ("c.jsonl", '{"item_id": "a"}\n' + json.dumps(WHOLE)[:30] + "\n", "broken_line"),
        ("c.jsonl", '{"item_id": "a"}\n{"item_id": nope}', "broken_line"),
        ("c.jsonl", '{"item_id": "a"}\nnope', "broken_line"),
        ("c.json", '[{"item_id": "a"}, {"item_id": nope}]', "broken_line"),
    ],
)
def test_a_file_that_ends_within_a_row_is_told_from_a_broken_line(tmp_path: Path, name, text, reason) -> None:
    (tmp_path / name).write_bytes(text.encode())
    (part,) = plan_slices([str(tmp_path / name)])
    found = [validate_catalogue(raw, part) for raw in read_slice(part, {})]
    assert sum(len(good) for good, _, _ in found) == (2 if reason is None else 1)
    rejected = [row for _, rejections, _ in found for row in rejections]
    assert [row.reason for row in rejected] == ([] if reason is None else [reason])
    if reason == "cut_off_file":
        line = 2 if name == "c.jsonl" else 3
        assert (rejected[0].expected, rejected[0].where) == ("a file that ends with a whole row", f"{name}:{line}")
        assert "the file ends within this row: is it whole?" in rejected[0].remedy


@pytest.mark.parametrize("name", ["c.csv", "c.jsonl"])
def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path: Path, name) -> None:
    rows = {"c.jsonl": [json.dumps({"item_id": str(n)}) for n in range(999)], "c.csv": [HEADER] * 999}[name]
    packed = gzip.compress("\n".join(rows).encode())
    (tmp_path / f"{name}.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(CorruptFileError, match="write it again"):
        [list(read_slice(part, {})) for part in plan_slices([str(tmp_path / f"{name}.gz")])]
