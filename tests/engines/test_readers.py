"""Other tools read a published run: what docs/readers.md tells to type is run, and every value compared with pyarrow's
or, of features, with ours."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from inspected_days import write_users_days
from python_process import ROOT
from read_by_snippet import plain

from schemas.records.tfrecords import decode_features, read_records

pytestmark = pytest.mark.medium

#: Reader, as its section is called -> the rows of its `table`.
LIGHT = {
    "DuckDB": "table.to_arrow_table().to_pylist()",
    "Polars": "table.to_dicts()",
    "pandas": "table.to_dict('records')",
    "pyarrow": "table.to_pylist()",
}
HEAVY = {
    "LanceDB": "table.to_arrow().to_pylist()",
    "HF datasets": "table.to_list()",
    "Daft": "table.to_pylist()",
    "ClickHouse": "table.to_pylist()",
    "Spark": "[row.asDict(recursive=True) for row in table.collect()]",
}
OF_RECORDS = {
    "tfrecord": "[{**row, 'token_ids': ids} for row, ids in zip(table, token_ids)]",
    "TensorFlow": "[{**row, 'token_ids': ids} for row, ids in zip(table.as_numpy_iterator(), token_ids)]",
}
TABLES = ("embeddings", "users", "changes", "quarantine")
#: The Python that `make readers-test` makes.
OTHER_PYTHON = ROOT / ".readers" / "bin" / "python"
_PAGE = (ROOT / "docs" / "readers.md").read_text()
_TIMEOUT_S = 300

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A published run with users, changes and quarantine, and an item and a user of hostile names."""
    return write_users_days(tmp_path_factory.mktemp("readers-store"))


def snippet(reader: str) -> str:
    """What the page tells to type."""
    (code,) = re.findall(rf"^##+ {re.escape(reader)}\n\n```python\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
    return code


def read(python: str | Path, snippets: dict[str, str], rows: str, folder: Path) -> dict[str, Rows]:
    """The rows of each snippet's table in ascending order, read in a process of its own, in another time zone."""
    asked, out = folder / "asked.json", folder / "read.json"
    asked.write_text(json.dumps({"snippets": snippets, "rows": rows, "out": str(out)}))
    environment = {**os.environ, "TZ": "Asia/Kolkata", "HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    program = str(ROOT / "tests" / "helpers" / "read_by_snippet.py")
    done = subprocess.run(
        [str(python), program, str(asked)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: in_order(found) for name, found in json.loads(out.read_text()).items()}


def in_order(rows: Rows) -> Rows:
    """Tools read files in an order of their own."""
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def check_tables(python: str | Path, reader: str, rows: str, run: Path, folder: Path) -> None:
    code = snippet(reader)
    assert len(code.split("\n")) == 4  # an import, a blank line, and one more; the last ends the line
    assert "embeddings" in code
    of = {table: code.replace("embeddings", table).replace("RUN", str(run)) for table in TABLES}
    for table, got in read(python, of, rows, folder).items():
        files = sorted((run / table).glob("*.parquet"))
        expected = in_order(plain([row for file in files for row in pq.ParquetFile(file).read().to_pylist()]))
        assert len(expected) > 3
        assert got == expected, f"{reader} reads other {table}"


def check_records(python: str | Path, reader: str, run: Path, folder: Path) -> None:
    code = {"features": snippet(reader).replace("RUN", str(run))}
    got = read(python, code, OF_RECORDS[reader], folder)["features"]
    payloads = [payload for file in (run / "features").glob("*.tfrecord") for payload in read_records(file)]
    items = [decode_features(payload) for payload in payloads]
    expected = [
        {
            "item_id": item.item_id.encode().hex(),
            "token_ids": item.token_ids.tolist(),
            "token_offsets": item.token_offsets.tobytes().hex(),
            "pictures": item.pictures.tobytes().hex(),
            "picture_shape": np.array(item.pictures.shape, "<i4").tobytes().hex(),
            "picture_sha256": b"".join(item.picture_sha256).hex(),
            "text_vector": item.text_vector.tobytes().hex(),
        }
        for item in items
    ]
    assert len(expected) == 40
    assert in_order([{"text_vector": "", **row} for row in got]) == in_order(expected)


@pytest.mark.parametrize("reader", LIGHT)
def test_it_reads_every_table(reader, run, tmp_path):
    check_tables(sys.executable, reader, LIGHT[reader], run, tmp_path)


@pytest.mark.engine("readers")
@pytest.mark.parametrize("reader", HEAVY)
def test_it_reads_every_table_in_a_python_of_its_own(reader, run, tmp_path):
    check_tables(OTHER_PYTHON, reader, HEAVY[reader], run, tmp_path)


def test_the_tfrecord_package_reads_features(run, tmp_path):
    check_records(sys.executable, "tfrecord", run, tmp_path)


@pytest.mark.engine("readers")
def test_tensorflow_reads_features(run, tmp_path):
    check_records(OTHER_PYTHON, "TensorFlow", run, tmp_path)


def test_the_page_has_a_section_for_each_reader_and_no_other():
    sections = re.findall(r"^##+ (.*)\n\n```python$", _PAGE, re.MULTILINE)
    assert sorted(sections) == sorted([*LIGHT, *HEAVY, *OF_RECORDS])
